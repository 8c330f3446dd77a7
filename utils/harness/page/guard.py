"""The page is nobody else's: which requests are answered, and what browsers are told to keep to."""

from collections.abc import Collection
from hmac import compare_digest

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Answers the browser that was given the address with the token, and nobody else.

    Other users of the machine do not know the token. Other pages in that browser can send requests:
    their Origin tells, and where they have none, the browser keeps the cookie from them.

    Args:
        hosts: as the browser may name this server; another is a name that was made to lead here.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], cookie: str, token: str) -> None:
        self.app, self.hosts, self.cookie, self.token = app, hosts, cookie, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self.answer(Request(scope)) or self.app
        await answer(scope, receive, send_with_headers)

    def answer(self, request: Request) -> Response | None:
        """A refusal, or how the token comes into the cookie; None for a request to be answered."""
        headers = request.headers
        host, origin = headers.get("host", "none"), headers.get("origin")
        if host not in self.hosts:
            return refusal(f"Host: must be {' or '.join(self.hosts)}; found {host}")
        if origin not in (None, f"http://{host}"):
            return refusal(f"Origin: must be http://{host}; found {origin}")
        if self.knows(request.query_params.get("token")):
            entered = RedirectResponse("/", 303)
            entered.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
            return entered
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin"):
            return refusal(f"Sec-Fetch-Site: must be same-origin; found {site}")
        if not self.knows(request.cookies.get(self.cookie)):
            return refusal("token: open the whole address that `make page` has printed")
        return None

    def knows(self, token: str | None) -> bool:
        return token is not None and compare_digest(token.encode(), self.token.encode())


def refusal(sentence: str) -> Response:
    return PlainTextResponse(sentence, 403)
