use super::*;
use crate::{
    Denial, decide,
    testing::{Asks, any_asks, any_policies, authz, exact, from, is, namespace, policy, rule},
};
use culvert_model::authz::{Authorization, Clause, Match, Rule};
use proptest::prelude::*;

fn shop() -> std::sync::Arc<Authz> {
    let cart = Match { principals: is(vec![exact("td/ns/shop/sa/cart")]), ..Match::default() };
    let port = Match { destination_ports: is(vec![9000_u16]), ..Match::default() };
    let both = Rule {
        clauses: [Clause { matches: [cart].into() }, Clause { matches: [port].into() }].into(),
    };
    authz(vec![
        policy("no-bank", Action::Deny, vec![rule(vec![namespace("bank"), Match::default()])]),
        Authorization {
            origin: Some("mesh.yaml:12".into()),
            ..policy("carts", Action::Allow, vec![rule(vec![namespace("other")]), both])
        },
    ])
}

#[test]
fn shows_every_condition_and_what_was_found() {
    let explanation = explain(&shop(), &from("shop/cart").facts());
    insta::assert_snapshot!(explanation, @r"
    denied by shop/no-bank rule 0: a condition that only L7 can see, taken as met
    + DENY shop/no-bank
      + rule 0
        + any of
          - source.namespace shop is not bank
          + a condition that only L7 can see, taken as met
    - ALLOW shop/carts (mesh.yaml:12)
      - rule 0
        - any of
          - source.namespace shop is not other
      - rule 1
        + any of
          + source.principal td/ns/shop/sa/cart is td/ns/shop/sa/cart
        - any of
          - destination.port 80 is not 9000
    ");
}

#[test]
fn the_nearest_rule_lacks_the_fewest_conditions() {
    let authz = authz(vec![Authorization {
        origin: Some("mesh.yaml:12".into()),
        ..policy(
            "carts",
            Action::Allow,
            vec![
                rule(vec![Match { destination_ports: is(vec![81_u16]), ..namespace("x") }]),
                rule(vec![Match { destination_ports: is(vec![81_u16]), ..namespace("shop") }]),
            ],
        )
    }]);
    let nearest = explain(&authz, &from("shop/cart").facts()).nearest().unwrap();
    assert_eq!((nearest.rule, nearest.origin.as_deref()), (1, Some("mesh.yaml:12")));
    let lacking: Vec<_> = nearest.lacking.iter().map(ToString::to_string).collect();
    assert_eq!(lacking, ["destination.port 80 is not 81"]);
}

#[test]
fn names_a_policy_that_is_not_known() {
    let named = [ObjectName::new("shop", "gone")];
    let authz = culvert_model::authz::join::Policies::default().join(&"shop".into(), &named);
    assert_eq!(
        explain(&authz, &from("").facts()).to_string(),
        "the destination names policy shop/gone, which is not known\n+ shop/gone: not known\n"
    );
}

proptest! {
    #[test]
    fn explains_what_is_decided(policies in any_policies(), asks in any_asks()) {
        let authz = authz(policies);
        let decision = decide(&authz, &asks.facts());
        let explanation = explain(&authz, &asks.facts());
        prop_assert_eq!(&explanation.decision, &decision);
        // The tree alone leads to the same answer.
        let held = |action| {
            let of = PolicyKind::Known { action, dry_run: false, origin: None };
            explanation.policies.iter().any(|p| p.what == of && p.held)
        };
        let permitted = !held(Action::Deny) && (authz.allow.is_empty() || held(Action::Allow));
        prop_assert_eq!(permitted, decision.verdict.is_ok());
    }

    #[test]
    fn what_the_nearest_rule_lacks_does_not_hold(policies in any_policies(), asks in any_asks()) {
        let explanation = explain(&authz(policies), &Asks::facts(&asks));
        if let Some(nearest) = explanation.nearest()
            && explanation.decision.verdict == Err(Denial::NoAllow)
        {
            prop_assert!(!nearest.lacking.is_empty());
            prop_assert!(nearest.lacking.iter().all(|c| !c.held));
        }
    }
}
