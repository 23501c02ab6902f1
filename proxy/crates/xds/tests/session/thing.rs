//! A resource as small as can be: whose value can be one that is not understood.
use culvert_model::authz::Origin;
use culvert_proto::{
    DecodeError as NotRead, Message as _, envoy::service::discovery::v3 as ads,
    istio::workload::NamespacedHostname as Message,
};
use culvert_xds::{
    decode::{DecodeError, Problem},
    resource::{Name, Resource},
};

/// Values from here on are not understood.
pub(crate) const BAD: u8 = 200;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Thing {
    pub(crate) name: u8,
    pub(crate) value: u8,
    /// Also goes by these letters.
    pub(crate) aliases: Vec<u8>,
}

pub(crate) fn name(name: u8) -> Name {
    format!("thing/{name}").into()
}

pub(crate) fn alias(alias: u8) -> Name {
    format!("alias/{alias}").into()
}

impl Thing {
    pub(crate) fn is_good(&self) -> bool {
        self.value < BAD
    }
}

impl Resource for Thing {
    const TYPE_URL: &'static str = "type.googleapis.com/culvert.test.Thing";

    const FOLLOWS_ORIGIN: bool = true;

    type Message = Message;

    /// The name that stands in for it.
    type StandIn = String;

    fn name(&self) -> Name {
        name(self.name)
    }

    fn aliases(&self) -> Vec<Name> {
        self.aliases.iter().map(|one| alias(*one)).collect()
    }

    fn origin(&self) -> Option<&Origin> {
        None
    }

    fn encode(&self) -> Message {
        let aliases = self.aliases.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        Message { namespace: format!("{}:{}", self.name, self.value), hostname: aliases }
    }

    fn decode(message: Message, _: Option<Origin>) -> Result<Self, DecodeError> {
        let (name, value) = message.namespace.split_once(':').unwrap();
        let aliases = message.hostname.split(',').filter(|one| !one.is_empty());
        let thing = Self {
            name: name.parse().unwrap(),
            value: value.parse().unwrap(),
            aliases: aliases.map(|one| one.parse().unwrap()).collect(),
        };
        if thing.is_good() { Ok(thing) } else { Err(DecodeError::whole(Problem::Unsupported)) }
    }

    fn stand_in(resource: &ads::Resource, _: Option<&Message>) -> String {
        resource.name.clone()
    }
}

/// A thing as it is on the wire.
pub(crate) fn on_the_wire(thing: &Thing, version: &str) -> ads::Resource {
    ads::Resource {
        version: version.to_owned(),
        name: (*thing.name()).to_owned(),
        aliases: thing.aliases().iter().map(|one| (**one).to_owned()).collect(),
        resource: Some(culvert_proto::Any {
            type_url: Thing::TYPE_URL.to_owned(),
            value: thing.encode().encode_to_vec(),
        }),
        ..ads::Resource::default()
    }
}

/// What a message that is none is read as.
pub(crate) fn not_read() -> NotRead {
    Message::decode(&[0xff_u8][..]).unwrap_err()
}
