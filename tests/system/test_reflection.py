"""A stranger's client, with nothing but the socket, finds out what the management API offers and uses it."""
from __future__ import annotations

import grpc
import pytest
from lab_lib.site import Site

import reflection

SERVICE = "headgate.management.v1.Management"


@pytest.fixture
def stranger(site: Site) -> reflection.Reflected:
    return reflection.connect(str(site.box.management))


def test_it_lists_the_services(stranger: reflection.Reflected) -> None:
    assert {SERVICE, "grpc.reflection.v1alpha.ServerReflection"} <= set(stranger.services())


def test_it_learns_every_method_with_its_messages_and_role(stranger: reflection.Reflected) -> None:
    methods = {method.name: method for method in stranger.learn(SERVICE).methods}
    assert {"System", "Backends", "Commit", "Ping", "SupportBundle", "StreamStats"} <= set(methods)
    role = stranger.pool.FindExtensionByName("headgate.management.v1.role")
    assert role.number == 50101
    assert "problem" in methods["System"].output_type.fields_by_name
    assert "service" in methods["Stats"].output_type.fields_by_name  # of the dataplane's file


def test_it_calls_what_it_learned(stranger: reflection.Reflected) -> None:
    stranger.learn(SERVICE)
    system = stranger.call(SERVICE, "System")
    assert system.version == "0.1.0" and system.dataplane_connected
    backends = stranger.call(SERVICE, "Backends").backend
    assert {"web1", "web2", "web3"} <= {backend.name for backend in backends}
    assert [line.text for line in stranger.call(SERVICE, "Ping", address="127.0.0.1", count=1) if "1 received" in line.text]


def test_what_does_not_exist_is_an_error(stranger: reflection.Reflected) -> None:
    assert "not found" in stranger.ask(file_containing_symbol="headgate.Nothing").error_response.error_message.lower()
    with pytest.raises(grpc.RpcError) as error:
        stranger.channel.unary_unary(f"/{SERVICE}/Nothing")(b"", timeout=5)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
