"""/os-keypairs"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from tests.api.compute.conftest import BASE, As, Client

PATH = f"{BASE}/os-keypairs"


def public_key() -> str:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


async def test_a_given_key(member: Client) -> None:
    key = f"{public_key()} me@here"
    answer = await member.post(PATH, json={"keypair": {"name": "mine", "public_key": key, "type": "ssh"}})
    assert answer.status_code == 201
    made = answer.json()["keypair"]
    assert made["public_key"] == key
    assert len(made["fingerprint"].split(":")) == 16
    assert "private_key" not in made
    shown = (await member.get(f"{PATH}/mine")).json()["keypair"]
    assert made.items() <= shown.items()
    assert {"id", "created_at", "deleted", "deleted_at", "updated_at"} <= set(shown)
    assert [one["keypair"]["name"] for one in (await member.get(PATH)).json()["keypairs"]] == ["mine"]
    again = await member.post(PATH, json={"keypair": {"name": "mine", "public_key": key}})
    assert again.status_code == 409
    assert (await member.delete(f"{PATH}/mine")).status_code == 204
    assert (await member.delete(f"{PATH}/mine")).status_code == 404


async def test_a_key_made_here_opens_what_it_locks(speaking_as: As) -> None:
    client = speaking_as(version="2.1")
    answer = await client.post(PATH, json={"keypair": {"name": "made"}})
    assert answer.status_code == 200
    made = answer.json()["keypair"]
    assert set(made) == {"name", "public_key", "fingerprint", "user_id", "private_key"}
    private = serialization.load_pem_private_key(made["private_key"].encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert made["public_key"].startswith(public.decode())
    assert (await client.delete(f"{PATH}/made")).status_code == 202


async def test_from_2_92_keys_are_given(speaking_as: As) -> None:
    assert (await speaking_as(version="2.92").post(PATH, json={"keypair": {"name": "a"}})).status_code == 400
    made = await speaking_as(version="2.91").post(PATH, json={"keypair": {"name": "a"}})
    assert "private_key" in made.json()["keypair"]


@pytest.mark.parametrize("key", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "not a key", "ssh-rsa !!!!", "ключ", "TWO"])
async def test_what_is_no_key(member: Client, key: str) -> None:
    text = f"{public_key()}\n{public_key()}" if key == "TWO" else key
    answer = await member.post(PATH, json={"keypair": {"name": "bad", "public_key": text}})
    assert answer.status_code == 400
    assert (await member.get(PATH)).json() == {"keypairs": []}


@pytest.mark.parametrize("name", ["", "a/b", "a\u0000b", "x" * 256, " ", "ключ"])
async def test_what_is_no_name(member: Client, name: str) -> None:
    answer = await member.post(PATH, json={"keypair": {"name": name, "public_key": public_key()}})
    assert answer.status_code == 400


async def test_keys_belong_to_users(speaking_as: As) -> None:
    mine, other = speaking_as(), speaking_as(user_id="v" * 32)
    admin = speaking_as("a" * 32, "admin", user_id="w" * 32)
    assert (await mine.post(PATH, json={"keypair": {"name": "k", "public_key": public_key()}})).status_code == 201
    assert (await other.get(f"{PATH}/k")).status_code == 404
    assert (await other.get(f"{PATH}/k?user_id={'u' * 32}")).status_code == 403
    assert (await admin.get(f"{PATH}/k?user_id={'u' * 32}")).status_code == 200


async def test_pages(member: Client) -> None:
    for name in ("a", "b", "c"):
        await member.post(PATH, json={"keypair": {"name": name, "public_key": public_key()}})
    page = (await member.get(f"{PATH}?limit=2")).json()
    assert [one["keypair"]["name"] for one in page["keypairs"]] == ["a", "b"]
    following = (await member.get(page["keypairs_links"][0]["href"])).json()
    assert [one["keypair"]["name"] for one in following["keypairs"]] == ["c"]
    assert (await member.get(f"{PATH}?marker=zzz")).status_code == 400
