//! What is asked for and handed out: one type of resource, its name, and how it is written.
use crate::{
    decode::{self, DecodeError, Problem, at},
    encode,
};
use culvert_model::{
    authz::{Authorization, Origin},
    member::Member,
    name::ObjectName,
    network::{NetworkIp, NetworkRange},
    service::Service,
    share::Sharing,
};
use culvert_proto::{
    Any, Message,
    envoy::service::discovery::v3 as ads,
    istio::{security, workload},
};
use std::{fmt, sync::Arc};

/// Names a resource of one type, or something one can be asked for by.
pub type Name = Arc<str>;

/// What travels: a message of the wire, and the word of the model that it stands for.
pub trait Resource: Clone + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// Names the type on the wire.
    const TYPE_URL: &'static str;

    /// Whether who holds it is told when nothing but its place in a file changed.
    const FOLLOWS_ORIGIN: bool;

    type Message: Message + Default;

    /// What must hold while a resource is refused of which no earlier version is held.
    type StandIn: Clone + PartialEq + fmt::Debug + Send + Sync;

    fn name(&self) -> Name;

    /// What else it can be asked for by.
    fn aliases(&self) -> Vec<Name>;

    /// Where a person wrote it, when that is known.
    fn origin(&self) -> Option<&Origin>;

    fn encode(&self) -> Self::Message;

    /// # Errors
    ///
    /// On anything not understood.
    fn decode(message: Self::Message, origin: Option<Origin>) -> Result<Self, DecodeError>;

    /// Keeps once what it has in common with others of those that were shared before.
    fn share(&mut self, _: &mut Sharing) {}

    /// `message` is `None` when it could not even be read.
    fn stand_in(resource: &ads::Resource, message: Option<&Self::Message>) -> Self::StandIn;
}

/// Whatever can stand behind an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Member(Arc<Member>),
    Service(Arc<Service>),
}

/// How a resource off the wire fares.
pub(crate) enum Read<R: Resource> {
    Good(R),
    Bad(DecodeError, R::StandIn),
}

impl Resource for Address {
    const TYPE_URL: &'static str = "type.googleapis.com/istio.workload.Address";

    /// A line more at the top of a file would be ten thousand resources.
    const FOLLOWS_ORIGIN: bool = false;

    type Message = workload::Address;

    /// The addresses that must not be taken for a stranger's.
    type StandIn = Box<[NetworkRange]>;

    fn name(&self) -> Name {
        match self {
            Self::Member(member) => member.uid.to_shared(),
            Self::Service(service) => service.host.to_string().into(),
        }
    }

    fn aliases(&self) -> Vec<Name> {
        match self {
            Self::Member(member) => member.network_ips().map(|ip| ip.to_string().into()).collect(),
            Self::Service(service) => {
                let single = service.vips.iter().filter(|vip| vip.single().is_some());
                single.map(|vip| vip.to_string().into()).collect()
            }
        }
    }

    fn origin(&self) -> Option<&Origin> {
        None
    }

    fn encode(&self) -> workload::Address {
        use workload::address::Type;
        let kind = match self {
            Self::Member(member) => Type::Workload(encode::workload::encode(member)),
            Self::Service(service) => Type::Service(encode::service::encode(service)),
        };
        workload::Address { r#type: Some(kind) }
    }

    fn decode(message: workload::Address, _: Option<Origin>) -> Result<Self, DecodeError> {
        use workload::address::Type;
        let workload::Address { r#type } = message;
        match r#type.ok_or_else(|| at("type", Problem::Missing))? {
            Type::Workload(message) => decode::workload::decode(message)
                .map(|member| Self::Member(Arc::new(member)))
                .map_err(|error| error.within("workload")),
            Type::Service(message) => decode::service::decode(message)
                .map(|service| Self::Service(Arc::new(service)))
                .map_err(|error| error.within("service")),
        }
    }

    fn share(&mut self, with: &mut Sharing) {
        match self {
            Self::Member(member) => {
                if let Some(member) = Arc::get_mut(member) {
                    with.member(member);
                }
            }
            Self::Service(service) => {
                if let Some(service) = Arc::get_mut(service) {
                    with.service(service);
                }
            }
        }
    }

    fn stand_in(
        resource: &ads::Resource,
        message: Option<&workload::Address>,
    ) -> Box<[NetworkRange]> {
        use workload::address::Type;
        let aliases = resource.aliases.iter().filter_map(|alias| {
            let (network, ip) = alias.rsplit_once('/')?;
            Some(NetworkIp::new(network, ip.parse().ok()?))
        });
        let mut ranges: Vec<_> = aliases
            .map(|NetworkIp { network, ip }| NetworkRange::new(network, ip.into()))
            .collect();
        match message.and_then(|message| message.r#type.as_ref()) {
            // Its address would be its node's.
            Some(Type::Workload(message))
                if message.network_mode == i32::from(workload::NetworkMode::HostNetwork) => {}
            Some(Type::Workload(message)) => {
                let ips = message.addresses.iter().filter_map(|bytes| decode::ip(bytes).ok());
                ranges.extend(ips.map(|ip| NetworkRange::new(&*message.network, ip.into())));
            }
            Some(Type::Service(message)) => {
                let vips = message.addresses.iter();
                ranges.extend(vips.filter_map(|vip| decode::gateway::decode_range(vip).ok()));
            }
            None => {}
        }
        ranges.sort_unstable();
        ranges.dedup();
        ranges.into()
    }
}

impl Resource for Arc<Authorization> {
    const TYPE_URL: &'static str = "type.googleapis.com/istio.security.Authorization";

    /// A denial names the line of its rule.
    const FOLLOWS_ORIGIN: bool = true;

    type Message = security::Authorization;

    /// A policy that denies, where one must.
    type StandIn = Option<Self>;

    fn name(&self) -> Name {
        self.name.to_string().into()
    }

    fn aliases(&self) -> Vec<Name> {
        Vec::new()
    }

    fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    fn encode(&self) -> security::Authorization {
        encode::authorization::encode(self)
    }

    fn decode(
        message: security::Authorization,
        origin: Option<Origin>,
    ) -> Result<Self, DecodeError> {
        decode::authorization::decode(message, origin).map(Self::new)
    }

    fn stand_in(
        resource: &ads::Resource,
        message: Option<&security::Authorization>,
    ) -> Option<Self> {
        let (namespace, name) = resource.name.split_once('/').unwrap_or(("", &resource.name));
        decode::authorization::stand_in(&ObjectName::new(namespace, name), message).map(Self::new)
    }
}

impl<R: Resource> Read<R> {
    /// Reads a resource off the wire.
    pub(crate) fn of(resource: &ads::Resource) -> Self {
        match message::<R>(resource).and_then(|message| decode_named::<R>(resource, message)) {
            Ok(good) => Self::Good(good),
            Err(error) => {
                let message = message::<R>(resource).ok();
                Self::Bad(error, R::stand_in(resource, message.as_ref()))
            }
        }
    }
}

fn message<R: Resource>(resource: &ads::Resource) -> Result<R::Message, DecodeError> {
    let body = resource.resource.as_ref().ok_or(DecodeError::whole(Problem::Missing))?;
    let Any { type_url, value } = body;
    if type_url != R::TYPE_URL {
        return Err(DecodeError::whole(Problem::OtherType(type_url.clone())));
    }
    R::Message::decode(&**value).map_err(|error| DecodeError::whole(Problem::Bytes(error)))
}

/// Whatever goes by another name than its own could never be removed.
fn decode_named<R: Resource>(
    resource: &ads::Resource,
    message: R::Message,
) -> Result<R, DecodeError> {
    let decoded = R::decode(message, crate::origin::read(resource.metadata.as_ref()))?;
    let own = decoded.name();
    if *own == *resource.name {
        Ok(decoded)
    } else {
        Err(DecodeError::whole(Problem::OtherName((*own).into())))
    }
}
