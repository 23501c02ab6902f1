//! What the status of an object is to say.
use super::{
    Address, Presence,
    conditions::{Moment, NONE, merged},
};
use crate::{
    compile::http::gateway_api::status::{CONTROLLER, Condition, ListenerStatus, Says},
    object::gateway_api::GROUP,
};
use culvert_kubernetes::trim::Key;
use serde_json::{Map, Value, json};

/// An object that is told what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    /// By which it is followed.
    pub(crate) api_version: String,
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) generation: u64,
    pub(crate) says: Says,
    /// What a route or a policy is attached to, as it is written there.
    pub(crate) refs: Vec<Value>,
}

impl Told {
    /// Its fields as they are to be, where its status is `before`; `None`: they are.
    pub(crate) fn differing(
        &self,
        before: &Value,
        presence: Option<&Presence>,
        now: &str,
    ) -> Option<Value> {
        let fields = self.fields(before, presence, Moment { generation: self.generation, now });
        let is_so = |(name, value): (&String, &Value)| {
            let there = &before[name];
            there == value || (is_empty(there) && is_empty(value))
        };
        (!fields.iter().all(is_so)).then_some(Value::Object(fields))
    }

    fn fields(
        &self,
        before: &Value,
        presence: Option<&Presence>,
        moment: Moment<'_>,
    ) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        match &self.says {
            Says::Class(conditions) => {
                set("conditions", merged(&before["conditions"], conditions, moment));
            }
            Says::Gateway { conditions, listeners } => {
                let conditions: Vec<_> =
                    conditions.iter().map(|one| as_present(one, presence)).collect();
                set("conditions", merged(&before["conditions"], &conditions, moment));
                let earlier = before["listeners"].as_array().map(Vec::as_slice).unwrap_or_default();
                let listeners = listeners.iter().map(|one| listener(one, earlier, moment));
                set("listeners", listeners.collect());
                if let Some(addresses) = presence.and_then(|presence| presence.addresses.as_ref()) {
                    set("addresses", addresses.iter().map(address).collect());
                }
            }
            Says::Route(parents) => {
                let ours = parents.iter().filter_map(|parent| {
                    Some((self.refs.get(parent.index)?, parent.conditions.as_slice()))
                });
                set("parents", attached(&before["parents"], "parentRef", ours, moment));
            }
            Says::Policy(conditions) => {
                let ours = self.refs.iter().map(|one| (one, conditions.as_slice()));
                set("ancestors", attached(&before["ancestors"], "ancestorRef", ours, moment));
            }
        }
        fields
    }
}

/// A gateway that nobody reaches does not do what it says.
fn as_present(condition: &Condition, presence: Option<&Presence>) -> Condition {
    let lacks = presence.and_then(|presence| presence.lacks.as_ref());
    match lacks.filter(|_| condition.kind == "Programmed" && condition.is_so) {
        None => condition.clone(),
        Some((reason, message)) => {
            Condition { kind: "Programmed", is_so: false, reason, message: message.clone() }
        }
    }
}

fn listener(listener: &ListenerStatus, earlier: &[Value], moment: Moment<'_>) -> Value {
    let ListenerStatus { name, supported_kinds, attached_routes, conditions } = listener;
    let before = earlier.iter().find(|one| one["name"] == **name);
    let before = before.map_or(&NONE, |before| &before["conditions"]);
    let kinds = supported_kinds.iter().map(|kind| json!({ "group": GROUP, "kind": kind }));
    json!({
        "name": &**name,
        "supportedKinds": kinds.collect::<Vec<_>>(),
        "attachedRoutes": attached_routes,
        "conditions": merged(before, conditions, moment),
    })
}

fn address(address: &Address) -> Value {
    match address {
        Address::Ip(ip) => json!({ "type": "IPAddress", "value": &**ip }),
        Address::Host(host) => json!({ "type": "Hostname", "value": &**host }),
    }
}

/// What became of it at each of what it is attached to; what other controllers say stays.
fn attached<'a>(
    before: &Value,
    name: &str,
    ours: impl Iterator<Item = (&'a Value, &'a [Condition])>,
    moment: Moment<'_>,
) -> Value {
    let before = before.as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut all, earlier): (Vec<Value>, Vec<Value>) =
        before.iter().cloned().partition(|one| one["controllerName"] != CONTROLLER);
    for (to, conditions) in ours {
        let before = earlier.iter().find(|one| one[name] == *to);
        let before = before.map_or(&NONE, |before| &before["conditions"]);
        all.push(json!({
            name: to,
            "controllerName": CONTROLLER,
            "conditions": merged(before, conditions, moment),
        }));
    }
    Value::Array(all)
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::http::gateway_api::status::ParentStatus;

    const FIRST: &str = "2026-01-01T00:00:00Z";
    const LATER: &str = "2027-01-01T00:00:00Z";

    fn told(kind: &'static str, says: Says, refs: Vec<Value>) -> Told {
        Told {
            kind,
            plural: "things",
            api_version: format!("{GROUP}/v1"),
            key: Key { namespace: "shop".into(), name: "web".into() },
            uid: "1".to_owned(),
            generation: 1,
            says,
            refs,
        }
    }

    fn condition(kind: &'static str, is_so: bool, reason: &'static str) -> Condition {
        Condition { kind, is_so, reason, message: String::new() }
    }

    #[test]
    fn what_others_say_of_a_route_stays() {
        let conditions = vec![condition("Accepted", true, "Accepted")];
        let says = Says::Route(vec![ParentStatus { index: 1, conditions }]);
        let refs = vec![json!({"name": "theirs"}), json!({"name": "edge"})];
        let route = told("HTTPRoute", says, refs);
        let theirs = json!({"parentRef": {"name": "theirs"}, "controllerName": "example.org/x"});
        let status = route.differing(&json!({ "parents": [theirs] }), None, FIRST).unwrap();
        assert_eq!(status["parents"][0], theirs);
        assert_eq!(status["parents"][1]["parentRef"]["name"], "edge");
        assert_eq!(route.differing(&status, None, LATER), None, "it is told once");
        // It is attached to nothing of ours any more.
        let gone = Told { says: Says::Route(Vec::new()), ..route };
        let status = gone.differing(&status, None, LATER).unwrap();
        assert_eq!(status["parents"], json!([theirs]));
    }

    #[test]
    fn a_gateway_without_an_address_is_not_programmed() {
        let conditions = vec![
            condition("Accepted", true, "Accepted"),
            condition("Programmed", true, "Programmed"),
        ];
        let gateway =
            told("Gateway", Says::Gateway { conditions, listeners: Vec::new() }, Vec::new());
        let missing = Presence {
            addresses: Some(Vec::new()),
            lacks: Some(("AddressNotAssigned", "none".to_owned())),
        };
        let status = gateway.differing(&Value::Null, Some(&missing), FIRST).unwrap();
        assert_eq!(status["conditions"][1]["reason"], "AddressNotAssigned");
        assert_eq!(gateway.differing(&status, Some(&missing), LATER), None);
        let addresses = Some(vec![Address::Ip("192.0.2.1".into())]);
        let there = Presence { addresses, lacks: None };
        let status = gateway.differing(&status, Some(&there), LATER).unwrap();
        assert_eq!(status["addresses"], json!([{"type": "IPAddress", "value": "192.0.2.1"}]));
        let [accepted, programmed] = [0, 1].map(|at| &status["conditions"][at]);
        assert_eq!(
            (&accepted["lastTransitionTime"], &programmed["status"]),
            (&FIRST.into(), &"True".into())
        );
        assert_eq!(programmed["lastTransitionTime"], LATER);
    }

    #[test]
    fn conditions_of_others_stay_and_ours_go_when_they_are_no_longer_so() {
        let class = told(
            "GatewayClass",
            Says::Class(vec![condition("Accepted", true, "Accepted")]),
            Vec::new(),
        );
        let before = json!({"conditions": [
            {"type": "Accepted", "status": "Unknown", "reason": "Pending"},
            {"type": "PartiallyInvalid", "status": "True"},
            {"type": "SupportedVersion", "status": "True"},
        ]});
        let status = class.differing(&before, None, FIRST).unwrap();
        let all = status["conditions"].as_array().unwrap();
        let names: Vec<_> = all.iter().map(|one| one["type"].as_str().unwrap()).collect();
        assert_eq!(names, ["SupportedVersion", "Accepted"]);
    }
}
