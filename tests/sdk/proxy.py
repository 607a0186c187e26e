"""A proxy for one server that loses answers: what a client sees when the network fails after the server acted."""

import asyncio
from urllib.parse import urlsplit

from world import WORLD


class Proxy:
    """Listens on a port of its own; `async with Proxy() as proxy`, clients take `base_url=proxy.url`."""

    def __init__(self):
        self.answers = []       # (method, path, status), as the server gave them
        self.lose = []          # what becomes of the next answers: "drop" the connection, or "hold" it
        self.on_answer = lambda status: None
        upstream = urlsplit(WORLD["base_url"])
        self.upstream = (upstream.hostname, upstream.port)

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = "http://127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        try:
            while request := await message(reader):
                answer = await self.ask(request)
                fate = self.lose.pop(0) if self.lose else "pass"
                if fate == "hold":
                    await reader.read()     # until the client has had enough
                if fate != "pass":
                    break
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def ask(self, request):
        reader, writer = await asyncio.open_connection(*self.upstream)
        writer.write(request)
        answer = await message(reader)
        writer.close()
        method, path, _ = request.split(b" ", 2)
        status = int(answer.split(b" ", 2)[1])
        self.answers.append((method.decode(), path.decode(), status))
        self.on_answer(status)
        return answer

    def statuses(self, method):
        """What the server answered to this method so far."""
        return [status for verb, _, status in self.answers if verb == method]


async def message(reader):
    """One message with a body of known length; nothing at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0])) if lengths else head
