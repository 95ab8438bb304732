"""YAML files into strict pydantic models; every room owns the schema of its own settings."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from longbio.errors import LongbioError


class Settings(BaseModel):
    """The base of every schema: unknown keys and non-finite numbers fail, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


HomePath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path in which ~ is the user's home."""

T = TypeVar("T", bound=BaseModel)

PRESETS = Path(__file__).parent / "configs"
"""The configurations that come with longbio, a folder for each command that takes one."""


def settings_file(config: Path | str, command: str, *, named_in: Path | None = None) -> Path:
    """The file of a configuration, which is given as a path or as the name of a preset.

    Args:
        config: `mine.yaml`, or `craft`.
        command: `pretrain`, `finetune` or `benchmark`.
        named_in: the file that names it, where a relative path begins; None for the working folder.

    Raises:
        LongbioError: there is neither; names the nearest.
    """
    file = Path(os.path.normpath((named_in or Path()).parent / Path(config).expanduser()))
    preset = PRESETS / command / f"{config}.yaml"
    if file.is_file():
        return file
    if preset.is_file():
        return preset
    files = [path for folder in (file.parent, PRESETS / command) for path in folder.glob("*.yaml")]
    near = difflib.get_close_matches(file.stem, [path.stem for path in files], n=1, cutoff=0.0)
    raise LongbioError(
        f"there is no configuration {config}",
        where=named_in,
        remedy=f"did you mean {near[0]}{file.suffix}? `longbio configs` lists those that come with longbio",
    )


def presets() -> dict[str, str]:
    """What each preset is for, by its command and name: `finetune/craft`."""
    return {
        f"{file.parent.name}/{file.stem}": _first_sentence(file.read_text("utf-8"))
        for file in sorted(PRESETS.glob("*/*.yaml"))
    }


def preset_file(name: str) -> Path:
    """The file of a preset: `craft`, or with the command that it is for, `finetune/craft`.

    Raises LongbioError where there is none, or one for each of two commands.
    """
    having = [preset for preset in presets() if name in (preset, preset.rpartition("/")[2])]
    if len(having) != 1:
        near = having or difflib.get_close_matches(name, [n.rpartition("/")[2] for n in presets()], 1, 0.0)
        what = f"{len(having) or 'no'} configurations have the name {name!r}"
        raise LongbioError(what, remedy=f"did you mean {' or '.join(near)}?")
    return PRESETS / f"{having[0]}.yaml"


def _first_sentence(text: str) -> str:
    lines = takewhile(lambda line: line.startswith("# "), text.splitlines())
    return re.split(r"(?<=\.)(?<!et al\.)\s", " ".join(line[2:].strip() for line in lines), maxsplit=1)[0]


def as_overrides(settings: Mapping[str, Any]) -> list[str]:
    """Settings as they are given to `--set`; of a mapping within, only the keys that it has are changed.

    >>> as_overrides({"recipe": {"batch": 2}, "phases.0.steps": 100})
    ['recipe.batch=2', 'phases.0.steps=100']
    """
    overrides = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            overrides += [f"{key}.{inner}" for inner in as_overrides(value)]
        else:
            overrides.append(f"{key}={json.dumps(value, ensure_ascii=False, default=str)}")
    return overrides


def load_settings(model: type[T], path: Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> T:
    """Read a YAML file, lay the overrides over it, and check the result.

    Args:
        model: the schema.
        path: the YAML file, or its content.
        overrides: "a.b=c" each, as given to `--set`: `c` is read as YAML, and a number in the
            key picks an element of a list ("phases.0.steps=100"). Later ones win.

    Raises:
        LongbioError: the file or an override can't be used, or a setting is unknown, missing or has a wrong
            value. Names the file, the key and the nearest known one.
    """
    settings = deepcopy(dict(path)) if isinstance(path, Mapping) else _read_mapping(path)
    overridden = {_apply(override, settings) for override in overrides}
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        where = "settings" if isinstance(path, Mapping) else path
        raise _in_one_line(error, model, where, overridden) from None


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice and reads 3e-5 as the number it is."""


# YAML 1.1, which PyYAML speaks, wants a dot before the exponent and reads 3e-5 as text.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def _construct_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            continue  # PyYAML itself refuses a list or a table as a key
        if key_node.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key_node.value} is given twice", key_node.start_mark
            )
        seen.add(key_node.value)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def _parse_yaml(text: str, *, where: str | Path) -> Any:
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" (line {error.problem_mark.line + 1})"
        reason = f"{error.problem}{line}"
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
    raise LongbioError(f"not valid YAML: {reason}", where=where)


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise LongbioError(f"the settings can't be read ({error.strerror})", where=path) from error
    except UnicodeDecodeError:
        raise LongbioError("not valid YAML: not UTF-8", where=path) from None

    settings = _parse_yaml(text, where=path)
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise LongbioError("the settings are no table of keys and values", where=path)
    return settings


def _apply(override: str, settings: dict[str, Any]) -> str:
    """Write an override into `settings` and return its key."""
    key, equals, text = override.partition("=")
    key = key.strip()
    where = f"change of {key}"
    names = key.split(".")
    if not equals or not all(names):
        raise LongbioError("not of the form key=value", where=where, remedy="write a.b=c")

    place: Any = settings
    for name in names[:-1]:
        place = _step_into(place, name, where=where)

    value = _parse_yaml(text, where=where)
    if isinstance(place, list):
        place[_index(place, names[-1], where=where)] = value
    else:
        place[names[-1]] = value
    return key


def _step_into(place: dict[str, Any] | list[Any], name: str, *, where: str) -> Any:
    if isinstance(place, list):
        inner = place[_index(place, name, where=where)]
    else:
        inner = place[name] = {} if place.get(name) is None else place[name]
    if not isinstance(inner, dict | list):
        raise LongbioError(f"{name} is a single value and has no keys inside", where=where)
    return inner


def _index(place: list[Any], name: str, *, where: str) -> int:
    if not name.isdecimal() or int(name) >= len(place):
        what = f"{name!r} picks no element of a list of {len(place)}"
        raise LongbioError(what, where=where, remedy="count from 0")
    return int(name)


UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""What pydantic calls a key too many, in a model and in a dataclass."""


def _in_one_line(
    error: ValidationError, model: type[BaseModel], where: Path | str, overridden: set[str]
) -> LongbioError:
    # A misspelt key is often why another one is missing: speak of it first.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] not in UNKNOWN)
    problem = problems[0]
    key = ".".join(map(str, problem["loc"]))

    if problem["type"] in UNKNOWN:
        what = f"unknown setting {key}"
        known = _known_keys(model, problem["loc"][:-1])
        nearest = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.0)
        remedy = f"did you mean {nearest[0]}?" if nearest else "take it out"
    else:
        reason = problem["msg"].removeprefix("Value error, ").replace("\n", " ")
        reason = reason[:1].lower() + reason[1:]
        what, remedy = (f"{key}: {reason}" if key else reason), None

    if len(problems) > 1:
        what += f" (and {len(problems) - 1} more)"
    # One lies within the other: a single value may have been given where a table belongs.
    from_override = any(f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in overridden)
    return LongbioError(what, where="a change of settings" if from_override else where, remedy=remedy)


def _known_keys(model: type[BaseModel], parents: Sequence[int | str]) -> list[str]:
    """The keys allowed where `parents` lead, in every model that may stand there."""
    models: list[type] = [model]
    for parent in parents:
        inner = [
            nested for candidate in models for nested in _models_in(_annotations(candidate).get(str(parent)))
        ]
        # An index, or pydantic's name for one branch of a union, stays in the same models.
        models = inner or models
    return [key for candidate in models for key in _annotations(candidate)]


def _annotations(model: type) -> dict[str, Any]:
    """The types of a table's keys: those of a pydantic model, or of a dataclass."""
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    hints = get_type_hints(model)
    assert dataclasses.is_dataclass(model)
    return {field.name: hints[field.name] for field in dataclasses.fields(model)}


def _models_in(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    ):
        return [annotation]
    return [nested for argument in get_args(annotation) for nested in _models_in(argument)]
