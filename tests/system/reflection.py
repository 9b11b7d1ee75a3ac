"""A gRPC client that knows nothing of the server: it asks by reflection (grpc.reflection.v1alpha) and makes its messages at run time.

Debian's python3-grpcio has no reflection package, so the protocol's own few messages are described here.
"""
from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

STRING, BYTES, MESSAGE = 9, 12, 11  # FieldDescriptorProto.Type
ONE, MANY = 1, 3
PACKAGE = "grpc.reflection.v1alpha"
SHAPES: dict[str, list[tuple[str, int, int, int, str]]] = {
    "ServerReflectionRequest": [("host", 1, STRING, ONE, ""), ("file_containing_symbol", 4, STRING, ONE, ""), ("list_services", 7, STRING, ONE, "")],
    "FileDescriptorResponse": [("file_descriptor_proto", 1, BYTES, MANY, "")],
    "ServiceResponse": [("name", 1, STRING, ONE, "")],
    "ListServiceResponse": [("service", 1, MESSAGE, MANY, "ServiceResponse")],
    "ErrorResponse": [("error_message", 2, STRING, ONE, "")],
    "ServerReflectionResponse": [("file_descriptor_response", 4, MESSAGE, ONE, "FileDescriptorResponse"),
                                 ("list_services_response", 6, MESSAGE, ONE, "ListServiceResponse"),
                                 ("error_response", 7, MESSAGE, ONE, "ErrorResponse")],
}


def own_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="reflection.proto", package=PACKAGE, syntax="proto2")
    for name, fields in SHAPES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label, type_name in fields:
            message.field.add(name=field, number=number, type=kind, label=label,
                              type_name=f".{PACKAGE}.{type_name}" if type_name else None)
    return file


class Reflected:
    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.own = descriptor_pool.DescriptorPool()
        self.own.Add(own_file())
        self.pool = descriptor_pool.DescriptorPool()

    def message(self, pool: descriptor_pool.DescriptorPool, name: str) -> Any:
        return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName(name))

    def ask(self, **request: str) -> Any:
        asked = self.message(self.own, f"{PACKAGE}.ServerReflectionRequest")
        answer = self.message(self.own, f"{PACKAGE}.ServerReflectionResponse")
        call = self.channel.stream_stream(f"/{PACKAGE}.ServerReflection/ServerReflectionInfo", request_serializer=asked.SerializeToString,
                                          response_deserializer=answer.FromString)
        return next(call(iter([asked(**request)]), timeout=5))

    def services(self) -> list[str]:
        return [service.name for service in self.ask(list_services="").list_services_response.service]

    def learn(self, service: str) -> Any:
        """The service's descriptor, with everything it needs in our pool."""
        files = {}
        for text in self.ask(file_containing_symbol=service).file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(text)
            files[file.name] = file
        done: set[str] = set()

        def add(name: str) -> None:
            if name in done:
                return
            done.add(name)
            for needed in files[name].dependency:
                add(needed)
            self.pool.Add(files[name])

        for name in files:
            add(name)
        return self.pool.FindServiceByName(service)

    def stub(self, service: str, method: str) -> tuple[Any, Any]:
        """The callable and the class of its request."""
        found = self.pool.FindServiceByName(service).methods_by_name[method]
        request = self.message(self.pool, found.input_type.full_name)
        reply = self.message(self.pool, found.output_type.full_name)
        proto = descriptor_pb2.MethodDescriptorProto()
        found.CopyToProto(proto)
        make = self.channel.unary_stream if proto.server_streaming else self.channel.unary_unary
        return make(f"/{service}/{method}", request_serializer=request.SerializeToString, response_deserializer=reply.FromString), request

    def call(self, service: str, method: str, timeout: float = 10, **fields: Any) -> Any:
        stub, request = self.stub(service, method)
        return stub(request(**fields), timeout=timeout)


def connect(path: str) -> Reflected:
    return Reflected(grpc.insecure_channel(f"unix:{path}", options=[("grpc.use_local_subchannel_pool", 1)]))
