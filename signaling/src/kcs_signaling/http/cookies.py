"""Our cookies: no script reads them, and where the page is served by HTTPS no other site plants
them (`__Host-`, RFC 6265bis)."""

from typing import Literal

from fastapi import Request, Response

from kcs_signaling.http.needs import RestServices


def read(services: RestServices, request: Request, name: str) -> str:
    """Its text; empty where there is none."""
    return request.cookies.get(_full(services, name), "")


def write(
    services: RestServices,
    response: Response,
    name: str,
    text: str,
    *,
    seconds: int,
    samesite: Literal["strict", "lax"] = "strict",
) -> None:
    """Sets it for so long; 0 takes it away."""
    response.set_cookie(
        _full(services, name),
        text,
        max_age=seconds,
        path="/",
        secure=_is_https(services),
        httponly=True,
        samesite=samesite,
    )


def _full(services: RestServices, name: str) -> str:
    return f"__Host-{name}" if _is_https(services) else name


def _is_https(services: RestServices) -> bool:
    return services.settings.http.public_url.startswith("https:")
