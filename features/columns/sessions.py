"""How a client behaves in mobile banking, as contracts/fraud.md defines it, and what says that it is not known."""

from features.columns import FeatureColumn


def _behaviour(name: str, dtype: str, ru: str, en: str, meaning: str) -> FeatureColumn:
    return FeatureColumn(name, dtype, ru, en, f"{meaning}, sessions before the moment only", missing_flag=True)


BEHAVIOUR_COLUMNS = (
    _behaviour(
        "os_ver_cnt_30d",
        "int64",
        "Число версий ОС за 30 дней",
        "OS versions, 30 days",
        "Distinct operating system versions over 30 days",
    ),
    _behaviour(
        "phone_model_cnt_30d",
        "int64",
        "Число моделей телефона за 30 дней",
        "Phone models, 30 days",
        "Distinct phone models over 30 days",
    ),
    _behaviour(
        "login_sessions_7d", "int64", "Число входов за 7 дней", "Logins, 7 days", "Distinct one-minute slots with a login, 7 days"
    ),
    _behaviour(
        "login_sessions_30d",
        "int64",
        "Число входов за 30 дней",
        "Logins, 30 days",
        "Distinct one-minute slots with a login, 30 days",
    ),
    _behaviour("logins_per_day_7d", "float64", "Число входов в день за 7 дней", "Logins a day, 7 days", "login_sessions_7d / 7"),
    _behaviour(
        "logins_per_day_30d", "float64", "Число входов в день за 30 дней", "Logins a day, 30 days", "login_sessions_30d / 30"
    ),
    _behaviour(
        "login_freq_change_7d_vs_30d",
        "float64",
        "Изменение частоты входов: 7 дней к 30",
        "Change of login frequency, 7 against 30 days",
        "(logins a day over 7 − over 30 days) / over 30 days; missing without logins",
    ),
    _behaviour(
        "logins_7d_share_of_30d",
        "float64",
        "Доля входов последних 7 дней в 30",
        "Share of the last 7 days in 30 days of logins",
        "login_sessions_7d / login_sessions_30d; missing without logins",
    ),
    _behaviour(
        "avg_session_interval_30d",
        "float64",
        "Средний интервал между входами за 30 дней, с",
        "Mean interval between sessions, 30 days, s",
        "Mean seconds between neighbouring sessions of the last 30 days; missing below two",
    ),
    _behaviour(
        "std_session_interval_30d",
        "float64",
        "Разброс интервалов между входами за 30 дней, с",
        "Standard deviation of session intervals, 30 days, s",
        "Standard deviation (n − 1) of the seconds between neighbouring sessions; missing below three",
    ),
    _behaviour(
        "var_session_interval_30d",
        "float64",
        "Дисперсия интервалов между входами за 30 дней, с²",
        "Variance of session intervals, 30 days, s²",
        "Square of std_session_interval_30d",
    ),
    _behaviour(
        "ewm_session_interval_7d",
        "float64",
        "Сглаженный интервал между входами за 7 дней, с",
        "Exponentially weighted session interval, 7 days, s",
        "Mean of the intervals of the last 7 days with weights 0.7^k, k = 0 for the newest; missing below two sessions",
    ),
    _behaviour(
        "burstiness_sessions",
        "float64",
        "Всплески входов",
        "Burstiness of sessions",
        "(std − mean) / (std + mean) of the intervals of 30 days, from −1 (regular) to 1 (bursts)",
    ),
    _behaviour(
        "fano_factor_sessions",
        "float64",
        "Фактор Фано интервалов, с",
        "Fano factor of intervals, s",
        "Variance / mean of 30 days",
    ),
    _behaviour(
        "zscore_interval_7d_vs_30d",
        "float64",
        "Отклонение интервала за 7 дней от обычного",
        "Interval of 7 days against 30, standard deviations",
        "(mean interval of 7 days − of 30 days) / standard deviation of 30 days",
    ),
)


def flag(name: str) -> str:
    """The column that is 1 where the value of column `name` is not known and 0 stands for it."""
    return f"{name}_was_missing"


MISSING_COLUMNS = tuple(
    FeatureColumn(
        flag(column.name),
        "int8",
        f"Нет данных: {column.title_ru}",
        f"Missing: {column.title_en}",
        f"1 when {column.name} is not known and 0 stands for it",
    )
    for column in BEHAVIOUR_COLUMNS
)
