"""Words of the bank's exports: names, cities, phones, form answers."""

CITIES = {
    "Алматы": (0.27, 0.22),
    "Астана": (0.19, 0.25),
    "Шымкент": (0.10, -0.12),
    "Караганда": (0.07, 0.02),
    "Актобе": (0.06, 0.03),
    "Атырау": (0.04, 0.35),
    "Павлодар": (0.05, 0.03),
    "Усть-Каменогорск": (0.05, 0.0),
    "Тараз": (0.04, -0.18),
    "Костанай": (0.04, -0.02),
    "Кызылорда": (0.03, -0.1),
    "Актау": (0.03, 0.28),
    "Семей": (0.03, -0.08),
}
"""City → (share of clients, its effect on log income)."""

WOMEN = ("Айгерим", "Алия", "Асель", "Дина", "Динара", "Гульнара", "Жанна", "Камила", "Мадина", "Сауле", "Анна", "Елена",
         "Мария", "Ольга", "Светлана", "Наталья")  # fmt: skip
MEN = ("Азамат", "Алмас", "Арман", "Бауыржан", "Данияр", "Ерлан", "Нурлан", "Руслан", "Тимур", "Санжар", "Александр",
       "Алексей", "Дмитрий", "Иван", "Сергей", "Михаил")  # fmt: skip

IPHONES = ("iPhone 11", "iPhone 12", "iPhone 13", "iPhone 14", "iPhone 15", "iPhone 16", "iPhone 17")
ANDROIDS = ("Xiaomi Redmi 10", "Samsung Galaxy A14", "Xiaomi Redmi Note 12", "Samsung Galaxy A54", "Honor 90",
            "Samsung Galaxy S23", "Samsung Galaxy S24")  # fmt: skip
IOS = ("iOS 17.6", "iOS 18.4", "iOS 18.6", "iOS 26.0", "iOS 26.2", "iOS 27.0")
ANDROID = ("Android 12", "Android 13", "Android 14", "Android 15", "Android 16", "Android 17")

EDUCATION = ("Среднее", "Среднее специальное", "Неоконченное высшее", "Высшее")
EMPLOYMENT = ("Работаю по найму", "Собственный бизнес", "Студент", "Пенсионер", "Не работаю")
EXPERIENCE = ("менее 4 месяцев", "4 - 6 месяцев", "6 месяцев - 1 год", "1 - 2 года", "2 - 3 года", "3 - 4 года", "5 - 6 лет",
              "6 - 7 лет", "10 и более лет")  # fmt: skip
EXPERIENCE_YEARS = (0.33, 0.5, 1, 2, 3, 5, 6, 10)
"""Borders, in years, between the answers of EXPERIENCE."""
POSITIONS = ("Рабочий", "Продавец", "Водитель", "Специалист", "Инженер", "Врач", "Учитель", "Бухгалтер", "Менеджер",
             "Руководитель")  # fmt: skip
FAMILY = ("Холост / не замужем", "Женат / замужем", "Разведён / разведена", "Вдовец / вдова")
GOODS = ("Mobile_devices", "Laptops", "Furniture", "Appliances", "Education", "Medical_services", "Travel", "Clothing",
         "Car_parts", "Home_repair")  # fmt: skip
