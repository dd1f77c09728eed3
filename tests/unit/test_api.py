"""One call on the wire: what the real stack cannot be made to answer."""

import time
from collections.abc import Iterator
from email.utils import formatdate

import httpx
import pytest
import respx

from pm_strength.errors import PermanentStoreError, TransientStoreError
from pm_strength.project.api import Api
from pm_strength.project.connection import Connection

URL = "https://project.test"
KEY = "sb_secret_marker"
OK = httpx.Response(200, json={"events": 1})


@pytest.fixture
def wire() -> Iterator[respx.Route]:
    with respx.mock(assert_all_called=False) as router:
        yield router.post(f"{URL}/rest/v1/rpc/f")


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def api(pauses: list[float]) -> Iterator[Api]:
    api = Api(Connection(URL, KEY), tries=3, sleep=pauses.append, jitter=lambda: 0.0)
    yield api
    api.close()


def test_the_result_comes_back(api: Api, wire: respx.Route, pauses: list[float]) -> None:
    wire.mock(return_value=OK)
    assert api.rpc("f", a=1) == {"events": 1}
    assert wire.calls.last.request.content == b'{"a":1}'
    assert pauses == []


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(500),
        httpx.Response(503, json={"code": "PGRST002", "message": "no schema cache"}),
        httpx.Response(400, json={"code": "", "message": "", "details": None, "hint": None}),
        httpx.Response(502, html="<h1>Bad Gateway</h1>"),
        httpx.Response(200, html="<h1>Welcome to the hotel</h1>"),
        httpx.Response(200, content=b'{"eve', headers={"Content-Type": "application/json"}),
        httpx.Response(200, content=b"", headers={"Content-Type": "application/json"}),
        httpx.Response(404, json={"code": "PGRST202", "message": "no function"}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut in the body"),
    ],
    ids=lambda value: getattr(value, "status_code", None) or type(value).__name__,
)
def test_a_passing_failure_is_tried_again(
    api: Api, wire: respx.Route, pauses: list[float], failure: httpx.Response | Exception
) -> None:
    wire.mock(side_effect=[failure, OK])
    assert api.rpc("f") == {"events": 1}
    assert pauses == [0.25]


def test_pauses_are_jittered(wire: respx.Route, pauses: list[float]) -> None:
    """So that workers that failed together do not come back together."""
    wire.mock(return_value=httpx.Response(503))
    half = Api(Connection(URL, KEY), tries=3, sleep=pauses.append, jitter=lambda: 0.5)
    with pytest.raises(TransientStoreError):
        half.rpc("f")
    assert pauses == [0.1875, 0.375]
    pauses.clear()
    unasked = Api(Connection(URL, KEY), tries=2, sleep=pauses.append)
    for _ in range(8):
        with pytest.raises(TransientStoreError):
            unasked.rpc("f")
    assert len(set(pauses)) > 1
    half.close()
    unasked.close()


def test_retry_after_is_waited_for(api: Api, wire: respx.Route, pauses: list[float]) -> None:
    wire.mock(side_effect=[httpx.Response(429, headers={"Retry-After": "9"}), OK])
    api.rpc("f")
    assert pauses == [9.0]


def test_retry_after_may_be_a_time(api: Api, wire: respx.Route, pauses: list[float]) -> None:
    for text, low, high in ((formatdate(time.time() + 20, usegmt=True), 18, 20), ("soon", 0.25, 0.25)):
        wire.mock(side_effect=[httpx.Response(429, headers={"Retry-After": text}), OK])
        api.rpc("f")
        assert low <= pauses.pop() <= high


def test_the_names_of_the_parameters_go_along(api: Api, wire: respx.Route) -> None:
    """PostgREST then hands the body on without reading it."""
    wire.mock(return_value=OK)
    api.rpc("f", a=1, b=[2])
    assert wire.calls.last.request.url.params["columns"] == "a,b"


def test_a_call_may_take_longer_than_the_server_lets_it_and_not_forever(api: Api, wire: respx.Route) -> None:
    """Who gives up before the server's 8 s does not know how the call ended."""
    wire.mock(return_value=OK)
    api.rpc("f")
    timeout = wire.calls.last.request.extensions["timeout"]
    assert 10 <= timeout["read"] <= 60
    assert timeout["connect"] is not None


@pytest.mark.parametrize(
    "failure", [httpx.Response(503), httpx.ConnectError("refused")], ids=["503", "refused"]
)
def test_a_query_is_tried_as_often_as_a_call(
    api: Api, pauses: list[float], failure: httpx.Response | Exception
) -> None:
    """supabase-py's own retries are off: they would multiply ours, and sleep where nobody can wake them."""
    with respx.mock() as router:
        route = router.get(f"{URL}/rest/v1/t").mock(side_effect=[failure] * 20)
        with pytest.raises(TransientStoreError):
            api.table(lambda client: client.table("t").select("*"))
    assert (route.call_count, len(pauses)) == (3, 2)


def test_a_function_that_stays_unknown_is_given_up_with_the_remedy(
    wire: respx.Route, pauses: list[float]
) -> None:
    wire.mock(return_value=httpx.Response(404, json={"code": "PGRST202", "message": "no function"}))
    api = Api(Connection(URL, KEY), tries=6, sleep=pauses.append)
    with pytest.raises(PermanentStoreError, match="supabase db push"):
        api.rpc("f")
    assert len(pauses) == 3
    api.close()


def test_a_failure_that_stays_is_raised_after_the_tries(
    api: Api, wire: respx.Route, pauses: list[float]
) -> None:
    wire.mock(return_value=httpx.Response(503))
    with pytest.raises(TransientStoreError) as caught:
        api.rpc("f")
    assert caught.value.status == 503
    assert len(pauses) == 2


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"message": "Invalid API key"}, "SUPABASE_SECRET_KEY"),
        (403, {"code": "42501", "message": "permission denied"}, "permission denied"),
        (409, {"code": "23505", "message": "duplicate key"}, "duplicate key"),
        (400, {"code": "P0001", "message": "no", "hint": "Do this"}, "Do this"),
    ],
)
def test_a_permanent_failure_is_raised_at_once(
    api: Api, wire: respx.Route, pauses: list[float], status: int, body: dict[str, str], said: str
) -> None:
    wire.mock(return_value=httpx.Response(status, json=body))
    with pytest.raises(PermanentStoreError, match=said) as caught:
        api.rpc("f")
    assert pauses == []
    assert "marker" not in str(caught.value)


def test_our_own_mistakes_are_not_taken_for_the_servers(api: Api) -> None:
    with pytest.raises(ZeroDivisionError):
        api.table(lambda client: 1 // 0)
