"""What is said of a profile file that is wrong: each fault once, its key as it is written."""

from pathlib import Path

import pytest

from gateway.profiles import files

HEAD = 'title: T\nrules:\n  - topic: "x/{d}"\n    device: "${t.d}"\n    '


def said(folder: Path, text: str) -> list[str]:
    file = folder / "profile.yaml"
    file.write_text(text)
    found = files.read(file)
    assert isinstance(found, list), "the file is without a fault"
    return [str(fault).removeprefix(f"{file}:") for fault in found]


@pytest.mark.parametrize(
    ("line", "key", "reason"),
    [
        ('emit: [{flatten: "=p", drp: [a]}]', "emit.0.drp", "did you mean 'drop'?"),
        ('emit: [{metric: a, vale: "=p"}]', "emit.0.vale", "did you mean 'value'?"),
        ('emit: [{flatten: "=p", where: "p ="}]', "emit.0.where", "not a JMESPath expression"),
        ('emit: [{metric: a, value: "=p", fs: "=)"}]', "emit.0.fs", "not a JMESPath expression"),
        ('emit: [{flaten: "=p"}]', "emit.0", "did you mean 'flatten'?"),
        ('emit: [{each: "=p", emit: [{online: "=x", dwn: [a]}]}]', "emit.0.emit.0.dwn", "'down'"),
        ("units: [[a, {scal: 3}]]", "units.0.1.scal", "did you mean 'scale'?"),
        ('units: [[a, {scale: "=("}]]', "units.0.1.scale", "not a JMESPath expression"),
        ('expires: "=p."', "expires", "not a JMESPath expression"),
        ("codec: {name: raw, dtyp: i2}", "codec.dtyp", "did you mean 'dtype'?"),
        ("codec: jsn", "codec", "did you mean 'json'?"),
        ("retained: sometimes", "retained", "'state' or 'old'"),
        ("quux: 1", "quux", "there are: topic, not, codec"),
    ],
)
def test_fault_is_told_once_under_its_own_key(
    tmp_path: Path, line: str, key: str, reason: str
) -> None:
    [fault] = said(tmp_path, HEAD + line)
    assert fault.startswith(f"5: rules.0.{key}: ")
    assert reason in fault


def test_each_of_several_faults_is_told(tmp_path: Path) -> None:
    text = 'title: T\nrules:\n  - topic: ["x/{d", "y/+"]\n    devise: "=("\n    emit: {metric: a}\n'
    keys = [fault.split(": ")[1] for fault in said(tmp_path, text)]
    assert sorted(keys) == ["rules.0.devise", "rules.0.emit", "rules.0.topic.0", "rules.0.topic.1"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("%YAML 9.9\n---\ntitle: x\n", "not YAML"),
        ("title: x\n? [[a], b]\n: 1\n", "not YAML"),
        (f'{HEAD}emit: [{{metric: m, value: "=\\ud800"}}]\n', "not YAML"),
        (f'{HEAD}emit: [{{metric: "\\0", value: =p}}]\n', "control character"),
    ],
)
def test_a_file_is_refused_when_its_yaml_is_odd(tmp_path: Path, text: str, told: str) -> None:
    assert told in said(tmp_path, text)[0]
