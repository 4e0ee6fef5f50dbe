//! gRPC reflection: tools that know no `Flight.proto` ask the server what it speaks.
//!
//! `arrow-flight` carries no descriptors, so Flight's are written down here: names, numbers and types as in `Flight.proto` of Apache Arrow, which
//! never change. Messages of Flight SQL travel inside of these, in an `Any` or as bytes, and are not reflected.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto, OneofDescriptorProto, ServiceDescriptorProto,
};
use tonic_reflection::server::Builder;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

const PACKAGE: &str = "arrow.flight.protocol";
const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// A field: number, name, type. `*` before a type: repeated; `?`: with presence. Types that are none of the scalars are messages, and enumerations
/// with `#`.
type FieldLine = (i32, &'static str, &'static str);

const MESSAGES: &[(&str, &[FieldLine])] = &[
    ("HandshakeRequest", &[(1, "protocol_version", "uint64"), (2, "payload", "bytes")]),
    ("HandshakeResponse", &[(1, "protocol_version", "uint64"), (2, "payload", "bytes")]),
    ("Empty", &[]),
    ("ActionType", &[(1, "type", "string"), (2, "description", "string")]),
    ("Criteria", &[(1, "expression", "bytes")]),
    ("Action", &[(1, "type", "string"), (2, "body", "bytes")]),
    ("Result", &[(1, "body", "bytes")]),
    ("SchemaResult", &[(1, "schema", "bytes")]),
    (
        "FlightDescriptor",
        &[
            (1, "type", "#FlightDescriptor.DescriptorType"),
            (2, "cmd", "bytes"),
            (3, "path", "*string"),
        ],
    ),
    (
        "FlightInfo",
        &[
            (1, "schema", "bytes"),
            (2, "flight_descriptor", "FlightDescriptor"),
            (3, "endpoint", "*FlightEndpoint"),
            (4, "total_records", "int64"),
            (5, "total_bytes", "int64"),
            (6, "ordered", "bool"),
            (7, "app_metadata", "bytes"),
        ],
    ),
    (
        "PollInfo",
        &[
            (1, "info", "FlightInfo"),
            (2, "flight_descriptor", "FlightDescriptor"),
            (3, "progress", "?double"),
            (4, "expiration_time", TIMESTAMP),
        ],
    ),
    ("CancelFlightInfoRequest", &[(1, "info", "FlightInfo")]),
    ("CancelFlightInfoResult", &[(1, "status", "#CancelStatus")]),
    ("Ticket", &[(1, "ticket", "bytes")]),
    ("Location", &[(1, "uri", "string")]),
    (
        "FlightEndpoint",
        &[
            (1, "ticket", "Ticket"),
            (2, "location", "*Location"),
            (3, "expiration_time", TIMESTAMP),
            (4, "app_metadata", "bytes"),
        ],
    ),
    ("RenewFlightEndpointRequest", &[(1, "endpoint", "FlightEndpoint")]),
    (
        "FlightData",
        &[
            (1, "flight_descriptor", "FlightDescriptor"),
            (2, "data_header", "bytes"),
            (3, "app_metadata", "bytes"),
            (1000, "data_body", "bytes"),
        ],
    ),
    ("PutResult", &[(1, "app_metadata", "bytes")]),
];

const DESCRIPTOR_TYPES: &[&str] = &["UNKNOWN", "PATH", "CMD"];
const CANCEL_STATUSES: &[&str] = &[
    "CANCEL_STATUS_UNSPECIFIED",
    "CANCEL_STATUS_CANCELLED",
    "CANCEL_STATUS_CANCELLING",
    "CANCEL_STATUS_NOT_CANCELLABLE",
];

/// Method, request, answer; `*` is a stream.
const METHODS: &[(&str, &str, &str)] = &[
    ("Handshake", "*HandshakeRequest", "*HandshakeResponse"),
    ("ListFlights", "Criteria", "*FlightInfo"),
    ("GetFlightInfo", "FlightDescriptor", "FlightInfo"),
    ("PollFlightInfo", "FlightDescriptor", "PollInfo"),
    ("GetSchema", "FlightDescriptor", "SchemaResult"),
    ("DoGet", "Ticket", "*FlightData"),
    ("DoPut", "*FlightData", "*PutResult"),
    ("DoExchange", "*FlightData", "*FlightData"),
    ("DoAction", "Action", "*Result"),
    ("ListActions", "Empty", "*ActionType"),
];

/// The service.
///
/// # Errors
/// The descriptors above do not hang together.
pub(super) fn reflection() -> Result<ServerReflectionServer<impl ServerReflection>, tonic_reflection::server::Error> {
    Builder::configure()
        .register_file_descriptor_set(flight())
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
}

/// `Flight.proto`, and what it imports.
fn flight() -> FileDescriptorSet {
    FileDescriptorSet {
        file: vec![timestamp_file(), flight_file()],
    }
}

fn flight_file() -> FileDescriptorProto {
    let mut messages: Vec<DescriptorProto> = MESSAGES.iter().map(|(name, fields)| message(name, fields)).collect();
    for descriptor in messages.iter_mut().filter(|message| message.name() == "FlightDescriptor") {
        descriptor.enum_type.push(enumeration("DescriptorType", DESCRIPTOR_TYPES));
    }
    let method = |(name, input, output): &(&str, &str, &str)| MethodDescriptorProto {
        name: Some((*name).to_owned()),
        input_type: Some(qualified(input.trim_start_matches('*'))),
        output_type: Some(qualified(output.trim_start_matches('*'))),
        client_streaming: Some(input.starts_with('*')),
        server_streaming: Some(output.starts_with('*')),
        ..MethodDescriptorProto::default()
    };
    FileDescriptorProto {
        name: Some("Flight.proto".to_owned()),
        package: Some(PACKAGE.to_owned()),
        dependency: vec!["google/protobuf/timestamp.proto".to_owned()],
        message_type: messages,
        enum_type: vec![enumeration("CancelStatus", CANCEL_STATUSES)],
        service: vec![ServiceDescriptorProto {
            name: Some("FlightService".to_owned()),
            method: METHODS.iter().map(method).collect(),
            options: None,
        }],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

fn timestamp_file() -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some("google/protobuf/timestamp.proto".to_owned()),
        package: Some("google.protobuf".to_owned()),
        message_type: vec![message("Timestamp", &[(1, "seconds", "int64"), (2, "nanos", "int32")])],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

fn message(name: &str, lines: &[FieldLine]) -> DescriptorProto {
    let mut message = DescriptorProto {
        name: Some(name.to_owned()),
        ..DescriptorProto::default()
    };
    for line in lines {
        let mut field = field(line);
        if field.proto3_optional() {
            field.oneof_index = i32::try_from(message.oneof_decl.len()).ok();
            message.oneof_decl.push(OneofDescriptorProto {
                name: Some(format!("_{}", line.1)),
                options: None,
            });
        }
        message.field.push(field);
    }
    message
}

fn field((number, name, kind): &FieldLine) -> FieldDescriptorProto {
    let plain = kind.trim_start_matches(['*', '?', '#']);
    let (scalar, type_name) = match plain {
        "bytes" => (Type::Bytes, None),
        "string" => (Type::String, None),
        "bool" => (Type::Bool, None),
        "double" => (Type::Double, None),
        "int32" => (Type::Int32, None),
        "int64" => (Type::Int64, None),
        "uint64" => (Type::Uint64, None),
        named if kind.starts_with('#') => (Type::Enum, Some(qualified(named))),
        named => (Type::Message, Some(qualified(named))),
    };
    let label = if kind.starts_with('*') { Label::Repeated } else { Label::Optional };
    FieldDescriptorProto {
        name: Some((*name).to_owned()),
        number: Some(*number),
        label: Some(label.into()),
        r#type: Some(scalar.into()),
        type_name,
        proto3_optional: kind.starts_with('?').then_some(true),
        ..FieldDescriptorProto::default()
    }
}

fn qualified(name: &str) -> String {
    if name == TIMESTAMP {
        return format!(".{name}");
    }
    format!(".{PACKAGE}.{name}")
}

fn enumeration(name: &str, values: &[&str]) -> EnumDescriptorProto {
    let value = |(number, name): (i32, &&str)| EnumValueDescriptorProto {
        name: Some((*name).to_owned()),
        number: Some(number),
        options: None,
    };
    EnumDescriptorProto {
        name: Some(name.to_owned()),
        value: (0..).zip(values).map(value).collect(),
        ..EnumDescriptorProto::default()
    }
}

#[cfg(test)]
mod tests {
    use arrow_flight::{CancelFlightInfoResult, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, Location, PollInfo, Ticket};
    use bytes::Bytes;
    use prost::Message;
    use prost_reflect::{DescriptorPool, DynamicMessage};

    use super::*;

    /// arrow-flight's message, read and written by the descriptors alone, without a field that they do not know.
    fn same<M: Message + Default + PartialEq + std::fmt::Debug>(name: &str, message: &M) {
        let pool = DescriptorPool::from_file_descriptor_set(flight()).expect("descriptors");
        let descriptor = pool.get_message_by_name(&format!("{PACKAGE}.{name}")).expect(name);
        let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).expect(name);
        assert_eq!(dynamic.unknown_fields().count(), 0, "{name}");
        assert_eq!(M::decode(dynamic.encode_to_vec().as_slice()).expect(name), *message, "{name}");
    }

    #[test]
    fn descriptors_are_those_of_arrow_flights_messages() {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let descriptor = FlightDescriptor {
            r#type: 2,
            cmd: bytes("c"),
            path: vec!["a".into(), "b".into()],
        };
        let endpoint = FlightEndpoint {
            ticket: Some(Ticket { ticket: bytes("t") }),
            location: vec![Location { uri: "grpc://h".into() }],
            expiration_time: Some(prost_types::Timestamp { seconds: 1, nanos: 2 }),
            app_metadata: bytes("m"),
        };
        let info = FlightInfo {
            schema: bytes("s"),
            flight_descriptor: Some(descriptor.clone()),
            endpoint: vec![endpoint.clone()],
            total_records: -1,
            total_bytes: 7,
            ordered: true,
            app_metadata: bytes("m"),
        };
        same("FlightDescriptor", &descriptor);
        same("FlightEndpoint", &endpoint);
        same("FlightInfo", &info);
        same(
            "PollInfo",
            &PollInfo {
                info: Some(info),
                flight_descriptor: Some(descriptor.clone()),
                progress: Some(0.0),
                expiration_time: Some(prost_types::Timestamp { seconds: 1, nanos: 2 }),
            },
        );
        same(
            "FlightData",
            &FlightData {
                flight_descriptor: Some(descriptor),
                data_header: bytes("h"),
                app_metadata: bytes("m"),
                data_body: bytes("b"),
            },
        );
        same("CancelFlightInfoResult", &CancelFlightInfoResult { status: 3 });
    }

    #[test]
    fn all_that_is_served_is_reflected() {
        assert!(reflection().is_ok());
        let pool = DescriptorPool::from_file_descriptor_set(flight()).expect("descriptors");
        let service = pool
            .get_service_by_name("arrow.flight.protocol.FlightService")
            .expect("the service");
        let methods: Vec<String> = service.methods().map(|method| method.name().to_owned()).collect();
        assert_eq!(methods.len(), 10);
        assert!(service.methods().all(|method| method.input().full_name().starts_with(PACKAGE)));
    }
}
