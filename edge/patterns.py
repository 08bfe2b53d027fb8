"""What the patterns of request fields ask for, in words: whoever reads a refusal is not expected to read regular expressions."""

IN_WORDS = {
    r"^[\w.-]{1,64}$": "has to be a client code: 1 to 64 letters, digits, dots, dashes and underscores",
    r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$": "may have no control characters, and no blank at either end",
    r"^[^\x00]*$": "may not have the character NUL (\\u0000)",
    r"^[!-~]+$": "takes Latin letters, digits and punctuation only, without blanks",
    r"^[\x21-\x7e]{1,255}$": "has to be 1 to 255 Latin letters, digits and punctuation marks, without blanks",
    r"^[0-9A-Za-z.-]{1,32}$": "has to be the name of a version: 1 to 32 Latin letters, digits, dots and dashes",
    r'^"\d{1,15}"$': 'has to be an ETag as it was given, a whole number in double quotes like "3"',
    r"^[A-Za-z0-9_=-]+$": "has to be the `next` of the page before, as it was given",
    r"^[0-9a-f]{32}$": "has to be the id that was given: 32 digits and small letters from a to f",
    r"^[0-9]{4}-(0[1-9]|1[0-2])$": "has to be a month like 2026-10",
    r"^20[0-9][0-9]-(0[1-9]|1[0-2])$": "has to be a month from 2000 on, like 2026-10",
    r"^20[0-9][0-9]-(0[1-9]|1[0-2])\.\.20[0-9][0-9]-(0[1-9]|1[0-2])$": "has to be two months from 2000 on, like 2026-01..2026-10",
    r"^[a-z][a-z0-9_]*$": "takes small Latin letters, digits and underscores only, beginning with a letter",
}
"""By the pattern itself, as pydantic quotes it: one that stands in no model any more refuses nothing."""
