//! Messages that Envoy's API uses, and `envoy-types` does not contain.
use envoy_types::pb::{
    google::protobuf::Struct,
    xds::{core::v3::CidrRange, r#type::matcher::v3::matcher::OnMatch},
};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// `xds.type.v3.TypedStruct`, and `udpa.type.v1.TypedStruct`: a struct that stands for a message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypedStruct {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<Struct>,
}

/// `xds.type.matcher.v3.IPMatcher`
#[derive(Clone, PartialEq, prost::Message)]
pub struct IpMatcher {
    #[prost(message, repeated, tag = "1")]
    pub range_matchers: Vec<IpRangeMatcher>,
}

/// `xds.type.matcher.v3.IPMatcher.IPRangeMatcher`
#[derive(Clone, PartialEq, prost::Message)]
pub struct IpRangeMatcher {
    #[prost(message, repeated, tag = "1")]
    pub ranges: Vec<CidrRange>,
    #[prost(message, optional, tag = "2")]
    pub on_match: Option<OnMatch>,
    #[prost(bool, tag = "3")]
    pub exclusive: bool,
}

/// `xds.type.matcher.v3.ServerNameMatcher`
#[derive(Clone, PartialEq, prost::Message)]
pub struct ServerNameMatcher {
    #[prost(message, repeated, tag = "1")]
    pub domain_matchers: Vec<DomainMatcher>,
}

/// `xds.type.matcher.v3.ServerNameMatcher.DomainMatcher`
#[derive(Clone, PartialEq, prost::Message)]
pub struct DomainMatcher {
    #[prost(string, repeated, tag = "1")]
    pub domains: Vec<String>,
    #[prost(message, optional, tag = "2")]
    pub on_match: Option<OnMatch>,
}

/// What every resource of discovery begins with: its name is field 1, whatever it is called.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Named {
    #[prost(string, tag = "1")]
    pub name: String,
}

const ON_MATCH: &str = ".xds.type.matcher.v3.Matcher.OnMatch";

/// All of them, as .proto files would say it.
pub(crate) fn files() -> [FileDescriptorProto; 3] {
    let structure = || {
        let value = field("value", 2, Label::Optional, Some(".google.protobuf.Struct"));
        message("TypedStruct", vec![text("type_url", 1, Label::Optional), value])
    };
    let range = message(
        "IPRangeMatcher",
        vec![
            field("ranges", 1, Label::Repeated, Some(".xds.core.v3.CidrRange")),
            field("on_match", 2, Label::Optional, Some(ON_MATCH)),
            FieldDescriptorProto {
                r#type: Some(Type::Bool.into()),
                ..field("exclusive", 3, Label::Optional, None)
            },
        ],
    );
    let domain = message(
        "DomainMatcher",
        vec![
            text("domains", 1, Label::Repeated),
            field("on_match", 2, Label::Optional, Some(ON_MATCH)),
        ],
    );
    let matcher = "xds.type.matcher.v3";
    let ip = DescriptorProto {
        nested_type: vec![range],
        ..message(
            "IPMatcher",
            vec![field(
                "range_matchers",
                1,
                Label::Repeated,
                Some(".xds.type.matcher.v3.IPMatcher.IPRangeMatcher"),
            )],
        )
    };
    let names = DescriptorProto {
        nested_type: vec![domain],
        ..message(
            "ServerNameMatcher",
            vec![field(
                "domain_matchers",
                1,
                Label::Repeated,
                Some(".xds.type.matcher.v3.ServerNameMatcher.DomainMatcher"),
            )],
        )
    };
    let needs = ["xds/core/v3/cidr.proto", "xds/type/matcher/v3/matcher.proto"];
    [
        file("xds.type.v3", &["google/protobuf/struct.proto"], vec![structure()]),
        file("udpa.type.v1", &["google/protobuf/struct.proto"], vec![structure()]),
        file(matcher, &needs, vec![ip, names]),
    ]
}

fn file(package: &str, needs: &[&str], messages: Vec<DescriptorProto>) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(format!("{}/added.proto", package.replace('.', "/"))),
        package: Some(package.to_owned()),
        dependency: needs.iter().map(|&file| file.to_owned()).collect(),
        message_type: messages,
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

fn message(name: &str, fields: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto { name: Some(name.to_owned()), field: fields, ..DescriptorProto::default() }
}

fn text(name: &str, number: i32, label: Label) -> FieldDescriptorProto {
    FieldDescriptorProto { r#type: Some(Type::String.into()), ..field(name, number, label, None) }
}

fn field(name: &str, number: i32, label: Label, message: Option<&str>) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(label.into()),
        r#type: Some(Type::Message.into()),
        type_name: message.map(ToOwned::to_owned),
        json_name: Some(camel(name)),
        ..FieldDescriptorProto::default()
    }
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let (head, rest) = part.split_at(1);
        all + &head.to_ascii_uppercase() + rest
    })
}

impl prost::Name for IpMatcher {
    const NAME: &'static str = "IPMatcher";
    const PACKAGE: &'static str = "xds.type.matcher.v3";
}

impl prost::Name for ServerNameMatcher {
    const NAME: &'static str = "ServerNameMatcher";
    const PACKAGE: &'static str = "xds.type.matcher.v3";
}
