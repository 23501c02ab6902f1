use super::*;
use culvert_model::member::OwnerKind;
use proptest::prelude::*;
use std::net::SocketAddr;

const HOST: &str = "([a-z_][a-z0-9_]{0,9}\\.){0,3}[a-z]{1,9}";
const NAME: &str = "[!#-+./0-9:<-\\[\\]-~-]{1,20}";

fn host_authority() -> impl Strategy<Value = Authority> {
    (HOST, 1..=u16::MAX).prop_map(|(host, port)| Authority::Host(host.into(), port))
}

fn addr_authority() -> impl Strategy<Value = Authority> {
    any::<SocketAddr>().prop_filter_map("a port and a plain address", |addr| {
        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        (addr.port() != 0).then_some(Authority::Addr(addr))
    })
}

fn name() -> impl Strategy<Value = Option<Arc<str>>> {
    prop::option::of(NAME.prop_map(Arc::from))
}

fn baggage() -> impl Strategy<Value = Baggage> {
    let kinds = [OwnerKind::Deployment, OwnerKind::CronJob, OwnerKind::Pod, OwnerKind::Job];
    let owner = (prop::sample::select(kinds.to_vec()), NAME)
        .prop_map(|(kind, name)| Owner { kind, name: name.into() });
    let names = (name(), name(), name(), name(), name(), name());
    (prop::option::of(owner), names).prop_map(|(owner, names)| {
        let (cluster, namespace, service, version, region, zone) = names;
        Baggage { cluster, namespace, owner, service, version, region, zone }
    })
}

fn forwarded() -> impl Strategy<Value = Forwarded> {
    (any::<SocketAddr>(), prop::option::of(HOST.prop_map(Arc::from))).prop_map(|(addr, host)| {
        Forwarded { client: SocketAddr::new(addr.ip().to_canonical(), addr.port()), host }
    })
}

fn a_trace() -> impl Strategy<Value = Trace> {
    (any::<[u8; 16]>(), any::<[u8; 8]>())
        .prop_filter("not all zeros", |(trace, span)| *trace != [0; 16] && *span != [0; 8])
        .prop_map(|(trace_id, span_id)| Trace { trace_id, span_id })
}

fn request() -> impl Strategy<Value = Request> {
    let authority = prop_oneof![host_authority(), addr_authority()];
    let informs = (prop::option::of(forwarded()), prop::option::of(a_trace()), name());
    (authority, baggage(), informs).prop_map(|(authority, baggage, (forwarded, trace, network))| {
        Request { authority, baggage, forwarded, trace, network }
    })
}

fn parsed(request: &http::Request<()>) -> Result<Request, BadRequest> {
    Request::parse(request.method(), request.uri(), request.headers())
}

proptest! {
    #[test]
    fn what_is_written_is_read(request in request()) {
        prop_assert_eq!(parsed(&request.to_http().unwrap()), Ok(request));
    }

    #[test]
    fn whatever_comes_is_read_without_a_panic(text in "\\PC*", ascii in "[ -~]{0,80}") {
        for text in [text, ascii] {
            if let Ok(authority) = authority(&text) {
                prop_assert_eq!(super::authority(&authority.to_string()), Ok(authority));
            }
            let read = Baggage::parse(&text);
            prop_assert_eq!(Baggage::parse(&read.to_string()), read);
            if let Some(read) = Forwarded::parse(&text) {
                prop_assert_eq!(Forwarded::parse(&read.to_string()), Some(read));
            }
            if let Some(read) = trace(&text) {
                prop_assert_eq!(trace(&traceparent(read)), Some(read));
            }
        }
    }

    #[test]
    fn what_was_broken_in_one_place_is_read_without_a_panic(
        request in request(), at in any::<prop::sample::Index>(), to in any::<u8>()
    ) {
        let texts = [
            request.authority.to_string(),
            request.baggage.to_string(),
            request.forwarded.map(|f| f.to_string()).unwrap_or_default(),
        ];
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = to;
            let text = String::from_utf8_lossy(&bytes);
            drop((authority(&text), Baggage::parse(&text), Forwarded::parse(&text)));
        }
    }
}

#[test]
fn an_authority_is_an_address_or_a_host_with_a_port() {
    let addr = |text: &str| Ok(Authority::Addr(text.parse().unwrap()));
    assert_eq!(authority("10.0.0.1:80"), addr("10.0.0.1:80"));
    assert_eq!(authority("[fd00::1]:80"), addr("[fd00::1]:80"));
    assert_eq!(authority("[::ffff:10.0.0.1]:80"), addr("10.0.0.1:80"));
    let host = |host: &str| Ok(Authority::Host(host.into(), 8080));
    assert_eq!(authority("Cart.Shop.svc.cluster.local:8080"), host("cart.shop.svc.cluster.local"));
    assert_eq!(authority("3scale:8080"), host("3scale"));
    for (text, why) in [
        ("10.0.0.1", BadAuthority::NoPort),
        ("cart.shop", BadAuthority::NoPort),
        ("[fd00::1]", BadAuthority::NoPort),
        ("cart:", BadAuthority::Port),
        ("cart:0", BadAuthority::Port),
        ("cart:080", BadAuthority::Port),
        ("cart:+80", BadAuthority::Port),
        ("cart:65536", BadAuthority::Port),
        ("fd00::1:80", BadAuthority::Address),
        ("[fd00::1%1]:80", BadAuthority::Address),
        ("[10.0.0.1]:80", BadAuthority::Address),
        ("10.0.0.256:80", BadAuthority::Address),
        ("10.1:80", BadAuthority::Address),
        ("010.0.0.1:80", BadAuthority::Address),
        (":80", BadAuthority::Host),
        ("cart..shop:80", BadAuthority::Host),
        ("-cart:80", BadAuthority::Host),
        ("cart.shop.:80", BadAuthority::Host),
        ("user@cart:80", BadAuthority::Host),
        ("cart/path:80", BadAuthority::Host),
    ] {
        assert_eq!(authority(text), Err(why), "{text}");
    }
}

#[test]
fn baggage_of_other_proxies_is_read() {
    let text = "k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=cart,\
                service.name=cart;prop=1, service.version=v1 ,other=x,=,cloud.region=,broken";
    let read = Baggage::parse(text);
    assert_eq!(
        read.to_string(),
        "k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=cart,\
         service.name=cart,service.version=v1"
    );
    assert_eq!(Baggage::parse(&"service.name=x,".repeat(1000)), Baggage::default());
}

#[test]
fn forwarded_is_read_with_and_without_quotes() {
    let client = "10.0.0.1:40000".parse().unwrap();
    let read = |host: Option<&str>| Some(Forwarded { client, host: host.map(Arc::from) });
    assert_eq!(Forwarded::parse("for=\"10.0.0.1:40000\""), read(None));
    assert_eq!(Forwarded::parse("for=10.0.0.1:40000;host=a.b"), read(Some("a.b")));
    assert_eq!(Forwarded::parse("by=x;Host=\"a.b\";FOR=10.0.0.1:40000, for=x"), read(Some("a.b")));
    assert_eq!(Forwarded::parse("for=unknown"), None);
    assert_eq!(Forwarded::parse("for=\"10.0.0.1:40000"), None);
    assert_eq!(Forwarded::parse("host=a.b"), None);
}

#[test]
fn a_traceparent_has_a_version_two_ids_and_flags() {
    let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(trace(text).map(traceparent).as_deref(), Some(&*text.replace("-01", "-00")));
    assert!(trace(&text.replace("00-0a", "cc-0a").replace("-01", "-01-more")).is_some());
    for bad in [
        text.replace("00-0a", "ff-0a"),
        text.replace("-01", "-01-more"),
        text.replace("af", "AF"),
        text.replace("b7ad6b7169203331", "0000000000000000"),
        text.replace("-01", ""),
    ] {
        assert_eq!(trace(&bad), None, "{bad}");
    }
}

#[test]
fn only_a_connect_to_an_authority_is_a_request() {
    let good = Request::new(authority("10.0.0.1:80").unwrap()).to_http().unwrap();
    let with = |method: Method, uri: &str| {
        let mut request = good.clone();
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().unwrap();
        parsed(&request).map(|request| request.authority.to_string())
    };
    assert_eq!(with(Method::CONNECT, "10.0.0.1:80"), Ok("10.0.0.1:80".to_owned()));
    assert_eq!(with(Method::GET, "10.0.0.1:80"), Err(BadRequest::Method));
    assert_eq!(with(Method::CONNECT, "http://10.0.0.1:80/"), Err(BadRequest::Target));
    assert_eq!(with(Method::CONNECT, "/"), Err(BadRequest::Target));
    assert_eq!(with(Method::CONNECT, "cart"), Err(BadRequest::Authority(BadAuthority::NoPort)));
}
