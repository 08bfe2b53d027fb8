"""What payments alone tell: amount and time, and the velocity and known fraud of clients and destinations."""

from features.columns import FeatureColumn

WINDOWS = (1, 7, 30)
"""Lengths of the windows in days."""
_ENTITIES = {"client": ("клиента", "of the client"), "destination": ("получателя", "to the destination")}


def _days_ru(days: int) -> str:
    return f"{days} день" if days == 1 else f"{days} дней"


def _velocity_columns(entity: str) -> tuple[FeatureColumn, ...]:
    ru, en = _ENTITIES[entity]
    columns = []
    for days in WINDOWS:
        span_ru, span_en = _days_ru(days), "1 day" if days == 1 else f"{days} days"
        columns += [
            FeatureColumn(
                f"{entity}_payments_{days}d",
                "int64",
                f"Число платежей {ru} за {span_ru}",
                f"Payments {en}, {span_en}",
                f"Number of payments {en} over {span_en} before the moment",
            ),
            FeatureColumn(
                f"{entity}_amount_{days}d",
                "float64",
                f"Сумма платежей {ru} за {span_ru}, ₸",
                f"Amount of payments {en}, {span_en}, KZT",
                f"Sum of payments {en} over {span_en} before the moment",
            ),
            FeatureColumn(
                f"{entity}_labels_{days}d",
                "int64",
                f"Число проверенных платежей {ru} за {span_ru}",
                f"Investigated payments {en}, {span_en}",
                f"Number of payments {en} whose label was reported in the {span_en} before the moment",
            ),
            FeatureColumn(
                f"{entity}_fraud_share_{days}d",
                "float64",
                f"Доля мошенничества среди проверенных платежей {ru} за {span_ru}",
                f"Share of fraud among investigated payments {en}, {span_en}",
                f"Mean of the labels reported in the {span_en} before the moment; missing when none was",
            ),
        ]
    return tuple(columns)


def _first_seen_column(entity: str, ru: str, en: str) -> FeatureColumn:
    return FeatureColumn(
        f"{entity}_seconds_since_first_payment",
        "float64",
        f"Время с первого платежа {ru}, с",
        f"Seconds since the first payment {en}",
        f"Seconds from the first payment {en} to the moment; missing before it",
        course="grows",
    )


AMOUNT_COLUMNS = (
    FeatureColumn("amount", "float64", "Сумма платежа, ₸", "Amount, KZT", "Amount of the payment"),
    FeatureColumn("hour", "int64", "Час платежа", "Hour", "Hour of the day, 0 to 23, UTC"),
    FeatureColumn("weekday", "int64", "День недели", "Day of the week", "0 = Monday … 6 = Sunday, UTC", course="cycles"),
)
CLIENT_COLUMNS = (*_velocity_columns("client"), _first_seen_column("client", "клиента", "of the client"))
DESTINATION_COLUMNS = (
    *_velocity_columns("destination"),
    _first_seen_column("destination", "этому получателю", "to the destination"),
    _first_seen_column("pair", "клиента этому получателю", "of the client to the destination"),
)
