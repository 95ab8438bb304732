"""Whether text is lower-cased: as a file says it, or as the vocabulary shows."""

from __future__ import annotations

import json
import logging
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoTokenizer

import longbio
from longbio.encoders.casing import VOCABULARY, decide, read_stated
from longbio.encoders.loading import load_tokenizer, read_tokenizer
from longbio.encoders.tokenizer_files import read_vocabulary
from longbio.errors import LongbioError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LOWER = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase), "the", "pain"]
UPPER = [*string.ascii_uppercase, *(f"##{letter}" for letter in string.ascii_uppercase), "The", "Aspirin"]
ACCENTED = ["é", "ö", "##é", "##ö", "fièvre", "schön"]
CASED = [*SPECIAL, *LOWER, *UPPER, *ACCENTED]
UNCASED = [*SPECIAL, *LOWER]
NATIONAL = [*SPECIAL, *LOWER, *ACCENTED]

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """make_folder(pieces, "tokenizer_config.json"={...}) -> a BERT folder with no more than vocab.txt."""

    def make(pieces: list[str] | bytes, model_type: str = "bert", **files: Any) -> Path:
        folder = tmp_path / "folder"
        folder.mkdir()
        raw = pieces if isinstance(pieces, bytes) else "".join(f"{piece}\n" for piece in pieces).encode()
        (folder / "vocab.txt").write_bytes(raw)
        for name, content in {"config": {"model_type": model_type}, **files}.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        return folder

    return make


def tokenizer_json(folder: Path, normalizer: Any) -> None:
    """Put a tokenizer.json with this normaliser in place of the vocabulary."""
    backend = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    backend.normalizer = normalizer
    backend.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("family", ["bert", "electra", "distilbert"])
def test_a_cased_vocabulary_that_no_file_speaks_of_keeps_capitals(
    family: str, make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = make_folder(CASED, family)
    tokenizer, casing = read_tokenizer(folder)
    assert tokenizer.tokenize("The Aspirin schön") == ["The", "Aspirin", "schön"]
    assert casing is not None
    assert (casing.lowercase, casing.lowercase_by, casing.lost) == (False, VOCABULARY, 0)
    assert load_tokenizer(folder).tokenize("Aspirin") == ["Aspirin"]

    # What is saved says so, so that plain transformers reads the same.
    tokenizer.save_pretrained(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").tokenize("The Aspirin") == ["The", "Aspirin"]


def test_an_uncased_vocabulary_is_lower_cased(make_folder: MakeFolder) -> None:
    tokenizer, casing = read_tokenizer(make_folder(UNCASED))
    assert tokenizer.tokenize("The PÄIN") == ["the", "pain"]
    assert casing is not None
    assert not casing.is_doubtful


def test_accents_in_an_uncased_vocabulary_are_kept(make_folder: MakeFolder, tmp_path: Path) -> None:
    tokenizer, casing = read_tokenizer(make_folder(NATIONAL))
    assert tokenizer.tokenize("Fièvre SCHÖN") == ["fièvre", "schön"]
    assert casing is not None
    assert (casing.lowercase, casing.strip_accents, casing.accents_by) == (True, False, VOCABULARY)
    tokenizer.save_pretrained(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").tokenize("Fièvre") == ["fièvre"]


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({"do_lower_case": True}, ["the", "fièvre"]),
        ({"do_lower_case": False}, ["The", "fièvre"]),
        ({"do_lower_case": True, "strip_accents": True}, ["the", *["f", "##i", "##e", "##v", "##r", "##e"]]),
        ({"model_max_length": 512}, ["The", "fièvre"]),
        ({"strip_accents": True}, ["The", *["f", "##i", "##e", "##v", "##r", "##e"]]),
    ],
)
def test_what_tokenizer_config_says_goes_before_the_vocabulary(
    config: dict[str, Any], tokens: list[str], make_folder: MakeFolder
) -> None:
    folder = make_folder(CASED, tokenizer_config=config)
    assert load_tokenizer(folder).tokenize("The fièvre") == tokens


@pytest.mark.parametrize(
    ("normalizer", "tokens"),
    [
        (normalizers.BertNormalizer(lowercase=False), ["The", "fièvre"]),
        (normalizers.BertNormalizer(lowercase=True, strip_accents=False), ["the", "fièvre"]),
        (normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()]), ["the", "fièvre"]),
        (
            normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]),
            ["the", *["f", "##i", "##e", "##v", "##r", "##e"]],
        ),
        (None, ["The", "fièvre"]),
    ],
)
def test_what_tokenizer_json_says_counts_where_tokenizer_config_is_silent(
    normalizer: Any, tokens: list[str], make_folder: MakeFolder
) -> None:
    """Transformers 5 overlooks it and lower-cases."""
    folder = make_folder(CASED)
    tokenizer_json(folder, normalizer)
    assert load_tokenizer(folder).tokenize("The fièvre") == tokens


def test_the_user_decides(make_folder: MakeFolder) -> None:
    folder = make_folder(CASED, tokenizer_config={"do_lower_case": False})
    tokenizer, casing = read_tokenizer(folder, lowercase=True)
    assert tokenizer.tokenize("The") == ["the"]
    assert casing is not None
    assert casing.is_stated
    assert casing.lost == len(UPPER)


def test_strays_do_not_make_a_vocabulary_cased(data_folder: Path) -> None:
    """SciBERT's uncased vocabulary holds 188 pieces with capitals, single ones, and 372 accented ones."""
    pieces, _ = read_vocabulary(data_folder / "vocab" / "scibert_scivocab_uncased.txt")
    casing = decide(pieces, read_stated({}, None))
    assert (casing.lowercase, casing.strip_accents) == (True, None)
    assert 500 < casing.lost < 600


def test_a_guess_is_told_once(make_folder: MakeFolder, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_folder(CASED)
    with caplog.at_level(logging.WARNING, "longbio"):
        load_tokenizer(folder)
        load_tokenizer(folder)
    (record,) = caplog.records
    assert "capitals are kept and accents are kept, by the vocabulary" in record.getMessage()
    assert "do_lower_case" in record.getMessage()
    assert len(record.getMessage()) < 300 + len(str(folder))


def test_a_file_that_contradicts_its_vocabulary_is_told(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_folder(CASED, tokenizer_config={"do_lower_case": True})
    with caplog.at_level(logging.WARNING, "longbio"):
        assert load_tokenizer(folder).tokenize("The") == ["the"]
    assert f"{len(UPPER):,} of" in caplog.text


def test_a_byte_level_tokenizer_that_lower_cases(tmp_path: Path) -> None:
    """RoBERTa's class builds its own tokenizer and loses the normaliser of the file."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "<mask>"]
    made = transformers.RobertaTokenizer(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[])
    made.backend_tokenizer.normalizer = normalizers.Lowercase()
    made.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "roberta"}')
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.tokenize("PAIN") == list("pain")
    assert tokenizer.cls_token_id == 0
    assert tokenizer.num_special_tokens_to_add(pair=True) == 4
    tokenizer.save_pretrained(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").tokenize("PAIN") == list("pain")


PLAIN = "".join(f"{piece}\n" for piece in UNCASED).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN + b"\n",
        PLAIN + b"\n\n \n",
        PLAIN[:-1],
        PLAIN.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n") + b"\r\n",
        PLAIN.replace(b"\npain\n", b" \npain \t\n"),
    ],
    ids=["mark", "blank end", "blank lines", "no end", "CRLF", "all of it", "white space"],
)
def test_a_vocabulary_that_an_editor_has_touched(raw: bytes, make_folder: MakeFolder) -> None:
    tokenizer = load_tokenizer(make_folder(raw))
    assert len(tokenizer) == len(UNCASED)
    assert [tokenizer.convert_tokens_to_ids(piece) for piece in UNCASED] == list(range(len(UNCASED)))
    assert tokenizer("the pain")["input_ids"] == [2, UNCASED.index("the"), UNCASED.index("pain"), 3]


def test_of_equal_lines_the_last_counts_as_in_bert(make_folder: MakeFolder) -> None:
    tokenizer = load_tokenizer(make_folder([*UNCASED, "pain", "end"]))
    assert tokenizer("pain end", add_special_tokens=False)["input_ids"] == [len(UNCASED), len(UNCASED) + 1]


def refusal(folder: Path) -> str:
    with pytest.raises(LongbioError) as caught:
        load_tokenizer(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) - len(str(folder)) < 300
    return message


@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json"])
def test_a_mark_that_transformers_cannot_read(name: str, make_folder: MakeFolder) -> None:
    folder = make_folder(UNCASED, tokenizer_config={"do_lower_case": True})
    tokenizer_json(folder, None)
    file = folder / name
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    message = refusal(folder)
    assert name in message
    assert "UTF-8 without" in message


def test_a_tokenizer_made_from_a_file_with_a_mark(make_folder: MakeFolder) -> None:
    folder = make_folder(b"\xef\xbb\xbf" + PLAIN)
    tokenizer_json(folder, normalizers.BertNormalizer())
    assert "byte-order mark" in refusal(folder)


def test_a_vocabulary_that_is_not_utf_8(make_folder: MakeFolder) -> None:
    assert "isn't UTF-8" in refusal(make_folder("é\n".encode("latin-1")))


def test_a_folder_without_a_tokenizer(make_folder: MakeFolder) -> None:
    folder = make_folder(UNCASED)
    (folder / "vocab.txt").unlink()
    assert "has no tokenizer" in refusal(folder)


def test_tokenizers_are_loaded_in_one_place() -> None:
    """The verification reads a written folder as plain transformers does, which is its subject, and cards
    print that."""
    package = Path(longbio.__file__).parent
    named = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if "AutoTokenizer." in file.read_text()
    }
    assert named == {"encoders/loading.py", "conversion/verify.py", "encoders/card_calls.py"}
