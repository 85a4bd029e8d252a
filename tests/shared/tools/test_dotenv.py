"""The .env file: what is read, what is left out, what is refused."""

from pathlib import Path

import pytest

from shared.tools.dotenv import read_dotenv


def test_names_values_quotes_comments_and_export_are_read(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# a comment\n\nPORT=4000\nexport ENGINE = simulator\nALERT_URLS='json://a b#c'\n"
        'LOG_LEVEL="debug"\nBOT_URL=http://bot:3000/#x # why\nDATA_DIR=\nHOST=# nothing\n',
        encoding="utf-8",
    )

    assert read_dotenv(file) == {
        "PORT": "4000",
        "ENGINE": "simulator",
        "ALERT_URLS": "json://a b#c",
        "LOG_LEVEL": "debug",
        "BOT_URL": "http://bot:3000/#x",
    }


def test_a_file_that_is_not_there_gives_nothing(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / ".env") == {}


def test_a_line_that_is_no_assignment_is_refused_by_number(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1\nnonsense here\n", encoding="utf-8")

    with pytest.raises(ValueError, match=r"line 2: expected NAME=value"):
        read_dotenv(file)
