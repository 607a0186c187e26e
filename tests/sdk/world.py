"""What the scripts in this directory share: the official SDK, unmodified, against a running usher, through the sync
and the async client, with a JWT and with an API key. Each script is one test of the Rust file `sdk`, which
describes the server in USHER_SDK_WORLD (JSON).
"""

import asyncio
import inspect
import json
import os

import miosa
from miosa import AsyncMiosa, Miosa, errors

WORLD = json.loads(os.environ["USHER_SDK_WORLD"])
TENANT, WORKSPACE = WORLD["tenant"], WORLD["workspace"]


async def done(result):
    """What a call of either client gives; the sync client's calls are made in a thread, as `lambda: …`, where a
    server of the script's own must answer meanwhile."""
    if callable(result):
        result = await asyncio.to_thread(result)
    return await result if inspect.isawaitable(result) else result


class NotRefused(AssertionError):
    """A call went through that must not."""


async def refused(result, error, status, code):
    """The error that a call must raise: its class, status, code, message and request id."""
    try:
        await done(result)
    except errors.MiosaError as caught:
        assert type(caught) is error, f"{caught!r} is no {error.__name__}"
        assert caught.status_code == status, repr(caught)
        assert caught.code == code, repr(caught)
        assert caught.message and not caught.message.startswith("{"), repr(caught)
        assert caught.request_id, repr(caught)
        return caught
    raise NotRefused(f"not refused with {status} {code}")


def client_of(mode, credential, tenant="acme", **options):
    """A client of this mode; JWTs and keys go in by their own parameters."""
    kind = {"access_token": credential} if credential.startswith("eyJ") else {"api_key": credential}
    cls = Miosa if mode == "sync" else AsyncMiosa
    return cls(**{"base_url": WORLD["base_url"], "tenant": tenant, **kind, **options})


async def member_id(owner, person):
    """The id of a member: a key made by the operator acts as somebody that no issuer knows."""
    listed = await done(lambda: owner.organizations.members.list(TENANT))
    return next(one["user_id"] for one in listed["members"] if one["user_email"] == person["email"])


def token_of(url):
    return url.rsplit("/", 1)[1]


EVERY = [(mode, kind) for mode in ["sync", "async"] for kind in ["jwt", "key"]]


def run(*checks, combinations=EVERY):
    """Runs the checks for both clients and both credentials: each is given an owner's client and people of its own."""

    async def every():
        for mode, kind in combinations:
            owner = client_of(mode, WORLD["owner"][kind])
            people = [dict(one, credential=one[kind]) for one in WORLD["people"][f"{mode}-{kind}"]]
            for check in checks:
                await check(mode, kind, owner, people)
            print(f"miosa {miosa.__version__}, {mode} client, {kind}: passed")
        print("all passed")

    asyncio.run(every())
