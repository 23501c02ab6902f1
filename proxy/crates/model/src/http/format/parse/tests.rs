use super::NotATemplate;
use crate::http::{
    field::Field,
    format::{
        Address, AddressPart, Clock, DEFAULT_LINE, FilterStateForm, Headers, MetadataOf, Moment,
        Operator, Part, Precision, Span, Template, TimeForm,
    },
};

fn only(text: &str) -> (Operator, Option<usize>) {
    let template: Template = text.parse().unwrap();
    let [Part::Operator(operator, length)] = template.parts() else {
        panic!("{text}: {template:?}");
    };
    (operator.clone(), *length)
}

fn refused(text: &str) -> String {
    text.parse::<Template>().unwrap_err().to_string()
}

#[test]
fn text_and_operators_take_turns() {
    let template: Template = "a 100%% %PROTOCOL% b".parse().unwrap();
    assert_eq!(
        template.parts(),
        [
            Part::Text("a 100% ".into()),
            Part::Operator(Operator::Protocol, None),
            Part::Text(" b".into()),
        ]
    );
    assert_eq!("plain".parse::<Template>().unwrap().as_literal(), Some("plain"));
    assert_eq!("".parse::<Template>().unwrap().as_literal(), Some(""));
}

#[test]
fn headers_have_one_alternative_and_a_length() {
    let original = "x-envoy-original-path".parse().unwrap();
    assert_eq!(
        only("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):10%"),
        (
            Operator::Header {
                of: Headers::Request,
                name: original,
                alternative: Some(Field::Path)
            },
            Some(10)
        )
    );
    assert_eq!(only("%REQ(:METHOD)%"), only("%REQUEST_HEADER(:method)%"));
    assert!(matches!("%REQ(a?b?c)%".parse::<Template>(), Err(NotATemplate::Alternatives { .. })));
    assert_eq!(refused("%REQ%"), "REQ comes with parameters in parentheses");
    assert_eq!(refused("%PROTOCOL:3%"), "PROTOCOL comes without a length");
    assert_eq!(refused("%PROTOCOL(x)%"), "PROTOCOL comes without parameters");
}

#[test]
fn times_keep_their_per_cent_signs() {
    assert_eq!(
        only("%START_TIME(%Y/%m/%dT%H:%M:%S%z (%f))%"),
        (Operator::Time(Clock::Start, TimeForm::Strftime("%Y/%m/%dT%H:%M:%S%z (%f)".into())), None)
    );
    assert_eq!(only("%EMIT_TIME%").0, Operator::Time(Clock::Emit, TimeForm::Default));
    assert_eq!(refused("%START_TIME(%n)%"), "START_TIME: a time has no line's end in it");
}

#[test]
fn metadata_and_filter_state_name_a_path() {
    assert_eq!(
        only("%DYNAMIC_METADATA(com.test:a:b):5%"),
        (
            Operator::Metadata {
                of: MetadataOf::Dynamic,
                filter: "com.test".into(),
                path: ["a".into(), "b".into()].into()
            },
            Some(5)
        )
    );
    assert_eq!(
        only("%FILTER_STATE(k:FIELD:f)%").0,
        Operator::FilterState {
            upstream: false,
            key: "k".into(),
            form: FilterStateForm::Field("f".into())
        }
    );
    assert_eq!(
        refused("%FILTER_STATE(k:WHAT)%"),
        "FILTER_STATE: WHAT is not one of PLAIN, TYPED, FIELD"
    );
}

#[test]
fn durations_addresses_and_masks() {
    assert_eq!(
        only("%COMMON_DURATION(DS_RX_BEG:mine:us)%").0,
        Operator::Duration(Span::Between {
            from: Moment::DownstreamReceiveBegin,
            to: Moment::Named("mine".into()),
            precision: Precision::Microseconds
        })
    );
    assert_eq!(
        only("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%").0,
        Operator::Address(Address::DownstreamRemote, AddressPart::Masked(16))
    );
    assert_eq!(
        only("%UPSTREAM_LOCAL_PORT%").0,
        Operator::Address(Address::UpstreamLocal, AddressPart::Port)
    );
}

#[test]
fn headers_understand_the_older_forms() {
    assert_eq!(
        Template::header(r#"%UPSTREAM_METADATA(["ns", "key"])%"#),
        "%UPSTREAM_METADATA(ns:key)%".parse()
    );
    assert_eq!(Template::header("%PER_REQUEST_STATE(a)%"), "%FILTER_STATE(a:PLAIN)%".parse());
}

#[test]
fn what_is_no_operator_is_named() {
    assert_eq!(refused("%WHAT%"), "no operator is called WHAT");
    assert_eq!(refused("a%"), "a per cent sign at 1 begins nothing; write %% for a per cent sign");
    assert!(refused("%PROTOCOL").starts_with("the operator at 0 is not closed"));
    assert!(refused("50% of it").starts_with("the operator at 2 is not closed"));
}

#[test]
fn the_default_line_is_one() {
    let template: Template = DEFAULT_LINE.parse().unwrap();
    assert!(template.parts().len() > 20);
}

/// What an Envoy 1.40 takes and refuses.
#[test]
fn names_are_those_that_envoy_knows() {
    for name in [
        "DOWNSTREAM_PEER_CHAIN_SERIALS",
        "DOWNSTREAM_PEER_FINGERPRINT_1",
        "UPSTREAM_PEER_CERT",
        "UPSTREAM_LOCAL_URI_SAN",
        "UPSTREAM_TLS_GROUP",
        "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
        "DOWNSTREAM_DETECTED_CLOSE_TYPE",
        "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
        "QUERY_PARAMS:3",
        "PATH:3",
        "REQUESTED_SERVER_NAME(SNI_ONLY)",
    ] {
        format!("%{name}%").parse::<Template>().unwrap();
    }
    for name in [
        "VIRTUAL_HOST_NAME",
        "DOWNSTREAM_PEER_CHAIN_SERIAL",
        "UPSTREAM_PEER_CHAIN_SERIALS",
        "UPSTREAM_PEER_SERIAL",
        "DOWNSTREAM_LOCAL_CERT",
        "UPSTREAM_LOCAL_SUBJECT",
        "DOWNSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
        "START_TIME(%Y):3",
        "GRPC_STATUS:2",
        "RESPONSE_FLAGS:2",
        "COMMON_DURATION(A)",
    ] {
        format!("%{name}%").parse::<Template>().unwrap_err();
    }
}
