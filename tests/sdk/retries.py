"""What the SDK repeats, and what it is told when it may: limits with their times, answers lost on the way, creates
and acceptances sent twice.
"""

import asyncio
import socket
import uuid

from miosa import errors

from proxy import Proxy
from world import TENANT, WORKSPACE, NotRefused, client_of, done, member_id, refused, run, token_of

HASTE = 2.0     # seconds until a client whose answer is held gives up: far more than any answer takes


async def limits(mode, kind, owner, people):
    """429: the POST is refused with the time to wait, which is true; the GET is repeated until it passes."""
    email = people[0]["email"]
    await done(owner.workspace_invites.create(WORKSPACE, email=email))
    refusal = lambda: owner.org_invites.create(TENANT, email=email)
    limited = await limit_of(refusal)
    assert 1 <= limited.retry_after <= 3 and limited.retry_after == int(limited.retry_after), limited.body
    assert limited.retry_after_ms == limited.retry_after * 1000 and limited.retryable is True, limited.body
    await asyncio.sleep(limited.retry_after)
    assert (await done(owner.org_invites.create(TENANT, email=email)))["email"] == email

    async with Proxy() as proxy:
        guesser = client_of(mode, people[1]["credential"], base_url=proxy.url)
        while 429 not in proxy.statuses("GET"):
            assert await done(lambda: guesser.workspace_invites.preview(f"no-token-{uuid.uuid4()}")) is None
        first = proxy.statuses("GET").index(429)
        assert set(proxy.statuses("GET")[first:-1]) == {429} and proxy.statuses("GET")[-1] == 404, proxy.answers


async def lost_answers(mode, kind, owner, people):
    """The server acts and its answer is lost: whoever repeats the call learns what has become of it."""
    person, other = people[2], people[3]
    async with Proxy() as proxy:
        sender = client_of(mode, owner._transport._api_key, base_url=proxy.url)
        hasty = client_of(mode, owner._transport._api_key, base_url=proxy.url, timeout=HASTE)
        for fate in ["drop", "hold"]:
            proxy.lose = [fate]
            create = lambda by=sender: by.workspace_invites.create(WORKSPACE, email=person["email"], role="viewer")
            await lost(lambda: create(hasty), errors.TimeoutError if fate == "hold" else None)
            made = (await done(create))["data"]
            listed = await done(lambda: sender.workspace_invites.list(WORKSPACE))
            assert [one["id"] for one in listed if one["email"] == person["email"]] == [made["id"]], listed

        invitee = client_of(mode, person["credential"], base_url=proxy.url)
        accept = lambda: invitee.workspace_invites.accept(token_of(made["invite_url"]))
        proxy.lose = ["drop"]
        await lost(accept)
        told = await refused(accept, errors.MiosaError, 409, "ALREADY_ACCEPTED")
        assert told.details["accepted_by_you"] is True and told.details["role"] == "viewer", told.details
        assert told.details["workspace_id"] == WORKSPACE and told.details["tenant_id"] == TENANT, told.details

        # a DELETE is repeated by the client itself: revoking twice is one revocation
        made = (await done(lambda: sender.workspace_invites.create(WORKSPACE, email=other["email"])))["data"]
        proxy.lose = ["hold"]
        gone = await done(lambda: hasty.workspace_invites.revoke(WORKSPACE, made["id"]))
        assert gone["revoked"] is True and proxy.statuses("DELETE")[-2:] == [200, 200], proxy.answers
        user = await member_id(owner, person)
        remove = lambda: hasty.workspace_members.remove(WORKSPACE, user)
        proxy.lose = ["hold"]
        await refused(remove, errors.NotFoundError, 404, "NOT_FOUND")
        assert proxy.statuses("DELETE")[-2:] == [200, 404], proxy.answers


async def repeated_with_a_key(mode, kind, owner, people):
    """A POST with an Idempotency-Key is repeated by the client itself, and acts once."""
    person = people[4]
    async with Proxy() as proxy:
        sender = client_of(mode, owner._transport._api_key, base_url=proxy.url, timeout=HASTE)
        invitee = client_of(mode, person["credential"], base_url=proxy.url, timeout=HASTE)
        proxy.lose = ["hold"]
        path, body = f"/tenants/{TENANT}/invites", {"email": person["email"], "role": "admin"}
        made = (await done(lambda: post(sender, path, body)))["data"]
        assert proxy.statuses("POST") == [201, 201], proxy.answers
        assert len([one for one in await done(owner.org_invites.list(TENANT)) if one["email"] == person["email"]]) == 1
        proxy.lose = ["hold"]
        accept = lambda: post(invitee, f"/invites/{token_of(made['invite_url'])}/accept", {})
        try:
            assert (await done(accept))["accepted"] is True
        except errors.MiosaError as told:
            assert told.code == "ALREADY_ACCEPTED" and told.details["accepted_by_you"] is True, repr(told)
    members = (await done(owner.organizations.members.list(TENANT)))["members"]
    assert [one["role"] for one in members if one["user_email"] == person["email"]] == ["admin"], members


async def nothing_there(mode, kind, owner, people):
    """Nobody listens, or what is sent is too much."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = client_of(mode, people[0]["credential"], base_url=f"http://127.0.0.1:{free.getsockname()[1]}")
        await lost(lambda: nobody.workspace_invites.create(WORKSPACE, email="x@example.com"), errors.ConnectionError)
    refusal = lambda: owner.workspaces.create(name="x" * 70_000)
    await refused(refusal, errors.PayloadTooLargeError, 413, "PAYLOAD_TOO_LARGE")


def post(client, path, body):
    headers = {"Idempotency-Key": f"{uuid.uuid5(uuid.NAMESPACE_URL, path)}"}
    return client._transport.request("POST", path, json_body=body, headers=headers)


async def limit_of(call):
    """The refusal by a limit of one in two seconds: where the machine is so busy that the window passed between two
    calls, the next one meets it."""
    for _ in range(30):
        try:
            return await refused(call, errors.RateLimitError, 429, "rate_limit_exceeded")
        except NotRefused:
            pass
    raise AssertionError("never limited")


async def lost(call, error=None):
    """A call whose answer never comes, as this error."""
    try:
        await done(call)
    except Exception as caught:
        assert error is None or type(caught) is error, repr(caught)
        return
    raise AssertionError("answered")


# waiting is most of it, so each client does it with one credential
run(limits, lost_answers, repeated_with_a_key, nothing_there, combinations=[("sync", "jwt"), ("async", "key")])
