"""503: while the database is held, writes are refused and may be repeated; the SDK does so by itself where that is
safe, and the answer comes once the database is free.
"""

from pathlib import Path

from miosa import errors

from proxy import Proxy
from world import WORKSPACE, WORLD, client_of, done, refused, run


async def a_held_database(mode, kind, owner, people):
    invites, email = owner.workspace_invites, people[0]["email"]
    made = (await done(invites.create(WORKSPACE, email=email)))["data"]
    async with Proxy() as proxy:
        sender = client_of(mode, owner._transport._api_key, base_url=proxy.url)
        signal(f"hold-{mode}-{kind}")
        while not signalled(f"held-{mode}-{kind}"):
            await done(lambda: sender.workspace_invites.list(WORKSPACE))
        refusal = lambda: sender.workspace_invites.create(WORKSPACE, email=people[1]["email"])
        busy = await refused(refusal, errors.ServerError, 503, "SERVICE_UNAVAILABLE")
        assert busy.retryable is True and busy.retry_after_ms >= 1000, busy.body
        assert proxy.statuses("POST") == [503], "no POST is repeated without a key"
        proxy.on_answer = lambda status: status == 503 and signal(f"release-{mode}-{kind}")
        gone = await done(lambda: sender.workspace_invites.revoke(WORKSPACE, made["id"]))
        assert gone["revoked"] is True, gone
        statuses = proxy.statuses("DELETE")
        assert statuses[0] == 503 and statuses[-1] == 200, proxy.answers


def signal(name):
    (Path(WORLD["signals"]) / name).touch()


def signalled(name):
    return (Path(WORLD["signals"]) / name).exists()


run(a_held_database, combinations=[("sync", "jwt"), ("async", "key")])
