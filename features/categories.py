"""What purchases are for: the public list, for everything that names a category without touching a table."""

CATEGORIES = {
    "Продукты питания": "groceries",
    "Кафе и рестораны": "restaurants",
    "Такси": "taxi",
    "АЗС": "fuel",
    "Одежда и обувь": "clothing",
    "Путешествия": "travel",
    "Отели": "hotels",
    "Медицина": "health",
    "Спорт": "sport",
    "Развлечения": "entertainment",
    "Кино": "cinema",
    "Питомцы": "pets",
    "Книги": "books",
    "Цветы": "flowers",
    "Едим дома": "eat_at_home",
    "Смотрим дома": "watch_at_home",
    "Играем дома": "play_at_home",
    "Косметика и Парфюмерия": "beauty",
    "Подарки": "gifts",
    "Ремонт дома": "home_repair",
    "Мебель": "furniture",
    "Спа и массаж": "spa",
    "Ювелирные украшения": "jewellery",
    "Авто": "auto",
}
"""Public list of purchase categories → the slug used in column names."""
