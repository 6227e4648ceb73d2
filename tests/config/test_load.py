"""Settings: defaults, file, environment, and how each mistake is told."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge import config
from fhir_bridge.config import keys as every_key
from fhir_bridge.errors import Incorrect

HOME = {"HOME": "/op"}


def write(folder: Path, text: str) -> Path:
    path = folder / "bridge.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | None, **environ: str) -> Incorrect:
    with pytest.raises(Incorrect) as refused:
        config.load(path, {**HOME, **environ})
    assert refused.value.code == "settings"
    return refused.value


def test_without_a_file_everything_has_its_default() -> None:
    settings = config.load(None, HOME)
    assert settings.source is None
    assert settings.http.base_url == "http://127.0.0.1:8080"
    assert settings.node.origin == "node.example/ledger"
    assert settings.node.keys == Path("/op/.config/fhir-bridge/node.example")
    assert settings.ledger.head_memory == settings.node.keys / "head-memory"
    assert settings.smart.token_lifetime_s == 300


def test_the_shipped_file_says_what_no_file_says(tmp_path: Path) -> None:
    shipped = config.load(write(tmp_path, config.default_text()), HOME)
    bare = config.load(write(tmp_path, ""), HOME)
    assert shipped == bare


def test_every_key_of_the_schema_is_a_field_and_every_field_a_key() -> None:
    settings = config.load(None, HOME)
    fields = {
        f"{section.name}.{key.name}"
        for section in dataclasses.fields(settings)
        if section.name != "source"
        for key in dataclasses.fields(getattr(settings, section.name))
    }
    in_schema = {".".join(key.split(".")[:2]) for key in every_key()}
    assert fields == in_schema


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[node]\ndata = "d"\nkeys = "../k"\n[ledger]\nhead_memory = "/h/m"\n')
    settings = config.load(path, HOME)
    assert settings.node.data == tmp_path / "d"
    assert settings.node.keys == tmp_path.parent / "k"
    assert settings.ledger.head_memory == Path("/h/m")
    assert settings.source == path


def test_keys_lie_in_the_users_configuration_folder_by_default(tmp_path: Path) -> None:
    path = write(tmp_path, '[node]\nmember = "example.org/west"\n')
    absolute = config.load(path, {**HOME, "XDG_CONFIG_HOME": "/cfg"})
    relative = config.load(path, {**HOME, "XDG_CONFIG_HOME": "cfg"})
    assert absolute.node.keys == Path("/cfg/fhir-bridge/example.org_west")
    assert relative.node.keys == Path("/op/.config/fhir-bridge/example.org_west")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("HTTP_PORT", "8081", 8081),
        ("HTTP_HOST", "localhost", "localhost"),
        ("HTTP_BEHIND_PROXY", "true", True),
        ("HTTP_METRICS_TOKEN", "12345", "12345"),
        ("LEDGER_CHECKPOINT_INTERVAL_S", "2.5", 2.5),
        ("NODE_PROFILE", "demo", "demo"),
        ("CONSENT_SELF_PURPOSES", '["PATRQT", "FAMRQT"]', ("PATRQT", "FAMRQT")),
    ],
)
def test_the_environment_overrides_the_file(
    tmp_path: Path, name: str, text: str, value: Any
) -> None:
    path = write(tmp_path, "[http]\nport = 9999\n")
    settings = config.load(path, {**HOME, f"FHIR_BRIDGE_{name}": text})
    section, _, key = name.lower().partition("_")
    assert getattr(getattr(settings, section), key) == value


def test_a_relation_may_be_a_word_or_a_table_in_the_environment() -> None:
    settings = config.load(
        None,
        {
            **HOME,
            "FHIR_BRIDGE_CONSENT_RELATIONS_OWN": "deny",
            "FHIR_BRIDGE_CONSENT_RELATIONS_OTHER": '{effect = "permit", purposes = ["TREAT"]}',
        },
    )
    relations = settings.consent.relations
    assert relations["own"] == "deny"
    assert relations["other"] == {"effect": "permit", "purposes": ["TREAT"]}
    assert relations["collect"] == {"effect": "permit"}


def test_every_key_has_an_environment_name_of_its_own() -> None:
    names = [config.environment_name(key) for key in every_key()]
    assert len(set(names)) == len(names)


def test_an_environment_value_cannot_smuggle_in_another_key() -> None:
    refused = refusal(None, FHIR_BRIDGE_HTTP_PORT='8081\nhost = "0.0.0.0"')
    assert refused.where == "http.port"


@pytest.mark.parametrize(
    ("text", "where", "sentence"),
    [
        ("[http]\n\nprot = 1\n", "bridge.toml line 3: http.prot", "did you mean http.port?"),
        ("[htpp]\nport = 1\n", "bridge.toml line 1: htpp", "did you mean http?"),
        ("xyzzy = 1\n", "bridge.toml line 1: xyzzy", "docs/settings.md"),
        (
            "[consent.relations]\nown2 = 1\n",
            "bridge.toml line 2: consent.relations.own2",
            "did you",
        ),
        ('[http]\nport = "a"\n', "bridge.toml line 2: http.port", "a whole number from 1 to 65535"),
        ("[http]\nport = 0\n", "bridge.toml line 2: http.port", "from 1 to 65535"),
        ("[http]\nport = true\n", "bridge.toml line 2: http.port", "a whole number"),
        ("http = 1\n", "bridge.toml line 1: http", "must be a section"),
        ("[node]\nprofile = 'loud'\n", "bridge.toml line 2: node.profile", "demo, standard"),
        (
            "[smart]\ntoken_lifetime_s = 301\n",
            "bridge.toml line 2: smart.token_lifetime_s",
            "to 300",
        ),
        ("[smart]\nclock_leeway_s = 31\n", "bridge.toml line 2: smart.clock_leeway_s", "to 30"),
        ("[node]\nmember = 'https://x'\n", "bridge.toml line 2: node.member", "text of the form"),
        ("[http]\nbase_url = 'https://x/'\n", "bridge.toml line 2: http.base_url", "of the form"),
        ("[http]\nbase_url = 'ftp://x'\n", "bridge.toml line 2: http.base_url", "of the form"),
        ("[consent]\nself_purposes = 'A'\n", "bridge.toml line 2: consent.self_purposes", "a list"),
        ("[consent]\nself_purposes = [1]\n", "bridge.toml line 2: consent.self_purposes", "a list"),
        (
            "[consent.relations]\nother = {efect = 'permit'}\n",
            "bridge.toml line 2: consent.relations.other",
            "permit, deny or a table",
        ),
        ("[search]\ndefault_count = 900\n", "search.default_count", "search.max_count"),
        ("[http]\nmax_body_bytes = 2048\n", "http.max_resource_bytes", "http.max_body_bytes"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_do(
    tmp_path: Path, text: str, where: str, sentence: str
) -> None:
    refused = refusal(write(tmp_path, text))
    assert refused.where == where
    assert sentence in refused.message
    assert where in refused.message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    refused = refusal(write(tmp_path, "[http]\nprot = 1\nhots = 1\n"), FHIR_BRIDGE_LOG_LEVL="x")
    assert [issue.where for issue in refused.issues] == [
        "bridge.toml line 2: http.prot",
        "bridge.toml line 3: http.hots",
        "FHIR_BRIDGE_LOG_LEVL",
    ]
    assert "and 2 more" in refused.message


def test_an_environment_value_for_what_the_file_made_no_section_is_refused(tmp_path: Path) -> None:
    refused = refusal(write(tmp_path, "http = 1\n"), FHIR_BRIDGE_HTTP_PORT="81")
    assert refused.where == "bridge.toml line 1: http"


def test_an_unknown_name_in_the_environment_stops_the_start() -> None:
    refused = refusal(None, FHIR_BRIDGE_HTPP_PORT="1")
    assert "did you mean FHIR_BRIDGE_HTTP_PORT?" in refused.message


@pytest.mark.parametrize("name", ["CONFIG", "SEED", "TESTS", "TESTDATA", "TESTDATA_REQUIRED"])
def test_names_that_are_for_tests_and_tools_are_let_be(name: str) -> None:
    assert config.load(None, {**HOME, f"FHIR_BRIDGE_{name}": "x"})


def test_a_secret_is_never_repeated(tmp_path: Path) -> None:
    refused = refusal(write(tmp_path, '[http]\nmetrics_token = "s3cret token"\n'))
    told = f"{refused} {refused.where} {refused.issues}"
    assert "s3cret" not in told
    settings = config.load(None, {**HOME, "FHIR_BRIDGE_HTTP_METRICS_TOKEN": "s3cret"})
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "cannot be read"),
        (lambda path: path.write_text("[http\n"), "not TOML"),
        (lambda path: path.write_text("[http]\nport = 1\nport = 2\n"), "not TOML"),
        (lambda path: path.write_bytes(b"# \xff\n"), "not UTF-8"),
        (lambda path: path.write_bytes(b"#" * (2 << 20)), "too large"),
    ],
)
def test_a_file_that_is_no_settings_file_is_refused(
    tmp_path: Path, make: Any, sentence: str
) -> None:
    path = tmp_path / "bridge.toml"
    make(path)
    refused = refusal(path)
    assert sentence in refused.message
    assert str(path) in refused.where


# profile      host          base_url            behind  keys        refused at
PROFILES = """
standard   | 127.0.0.1   |                   | false | ../k      |
standard   | ::1         |                   | false | ../k      |
standard   | localhost   |                   | false | ../k      |
standard   | 0.0.0.0     |                   | false | ../k      | http.host
standard   | 10.0.0.1    | http://x.example  | false | ../k      | http.host
standard   | myhost      |                   | false | ../k      | http.host
standard   | 0.0.0.0     | https://x.example | false | ../k      |
standard   | 0.0.0.0     | http://x.example  | true  | ../k      |
standard   | 127.0.0.1   |                   | false | data      | node.keys
standard   | 127.0.0.1   |                   | false | data/keys | node.keys
standard   | 127.0.0.1   |                   | false | database  |
production | 127.0.0.1   |                   | false | ../k      | http.base_url
production | 0.0.0.0     | http://x.example  | true  | ../k      | http.base_url
production | 0.0.0.0     | https://x.example | true  | ../k      |
demo       | 0.0.0.0     |                   | false | data/keys |
"""


@pytest.mark.parametrize("row", PROFILES.strip().splitlines())
def test_a_profile_decides_what_may_be_in_the_open(tmp_path: Path, row: str) -> None:
    profile, host, url, behind, keys, where = (cell.strip() for cell in row.split("|"))
    text = (
        f'[node]\nprofile = "{profile}"\nkeys = "{keys}"\n'
        f'[http]\nhost = "{host}"\nbase_url = "{url}"\nbehind_proxy = {behind}\n'
    )
    path = write(tmp_path, text)
    if where:
        assert refusal(path).where == where
    else:
        assert config.load(path, HOME).node.demo == (profile == "demo")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::1", "http://[::1]:8080"),
        ("0.0.0.0", "http://localhost:8080"),
        ("::", "http://localhost:8080"),
    ],
)
def test_the_address_that_clients_use_follows_from_host_and_port(
    tmp_path: Path, host: str, url: str
) -> None:
    path = write(tmp_path, f'[node]\nprofile = "demo"\n[http]\nhost = "{host}"\n')
    assert config.load(path, HOME).http.base_url == url


def test_values_can_be_put_into_the_shipped_file(tmp_path: Path) -> None:
    values: dict[str, str | int | float | bool] = {
        "node.member": "clinic.example",
        "node.keys": 'C:\\k "ü"',
        "http.port": 8090,
        "processes.bundle_worker": False,
    }
    text = config.with_values(values)
    assert text.count("\n") == config.default_text().count("\n")
    settings = config.load(write(tmp_path, text), HOME)
    assert settings.node.member == "clinic.example"
    assert settings.node.keys == tmp_path / 'C:\\k "ü"'
    assert settings.http.port == 8090
    assert settings.processes.bundle_worker is False


@pytest.mark.parametrize("key", ["http.prot", "http", "port"])
def test_a_value_for_an_unknown_key_cannot_be_put_in(key: str) -> None:
    with pytest.raises(Incorrect):
        config.with_values({key: 1})


def test_the_shipped_relations_are_those_of_the_consent_room() -> None:
    from fhir_bridge import consent

    settings = config.load(None, HOME)
    policy = consent.Policy.from_dict(settings.consent.as_dict())
    assert policy == consent.Policy.from_dict()
    assert settings.consent.relations == consent.SHIPPED


def test_the_shipped_file_is_toml_with_every_key_once() -> None:
    found = tomllib.loads(config.default_text())
    assert {f"{s}.{k}" for s, part in found.items() for k in part} == {
        ".".join(key.split(".")[:2]) for key in every_key()
    }
