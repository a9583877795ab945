from testbed.engines.native.parts import Plan, parts_of

GUARDED = ("lwm2m-server", "sparkplug-host")


def environments(file):
    plan = Plan(2, None, "127.0.0.1", 100, "/jars", False, False, token_file=file)
    return {
        part.name: part.prepare().env
        for part in parts_of(plan)
        if part.name in (*GUARDED, "redpanda-connect", "device-simulator")
    }


def test_servers_get_the_file_and_their_only_writer_the_token(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_STATE", str(tmp_path))
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    found = environments(str(file))
    assert [found[name]["API_TOKEN_FILE"] for name in GUARDED] == [str(file)] * 2
    assert found["redpanda-connect"]["API_TOKEN"] == "0123456789abcdef"
    assert not any("TOKEN" in name for name in found["device-simulator"])


def test_without_a_file_the_apis_are_open_and_a_missing_file_is_the_servers_to_tell(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_STATE", str(tmp_path))
    assert environments("")["lwm2m-server"]["API_TOKEN_FILE"] == ""
    assert environments(str(tmp_path / "missing"))["redpanda-connect"]["API_TOKEN"] == "none"
