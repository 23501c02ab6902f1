use super::*;
use crate::testing::{
    Asks, any_asks, any_policies, any_rules, authz, exact, from, is, is_not, namespace, policy,
    rule,
};
use culvert_model::authz::{
    join::Policies,
    set::{Account, StringMatch},
};
use proptest::prelude::*;

/// The single place that calls [`decide`]; the tests below are data.
#[track_caller]
fn check(authz: &Authz, asks: &Asks, expect: &str) {
    assert_eq!(text(&decide(authz, &asks.facts()).verdict), expect);
}

fn text(verdict: &Result<Permit, Denial>) -> String {
    match verdict {
        Ok(permit) => permit.rule().map_or("no ALLOW".to_owned(), |r| format!("by {r}")),
        Err(denial) => denial.to_string(),
    }
}

fn allow(one: Match) -> Arc<Authz> {
    authz(vec![policy("p", Action::Allow, vec![rule(vec![one])])])
}

/// Whether `one` alone holds for `asks` in a policy of either action.
#[track_caller]
fn holds(one: &Match, asks: &Asks, expect: bool) {
    let deny = authz(vec![policy("p", Action::Deny, vec![rule(vec![one.clone()])])]);
    assert_eq!(decide(&allow(one.clone()), &asks.facts()).verdict.is_ok(), expect, "in an ALLOW");
    assert_eq!(decide(&deny, &asks.facts()).verdict.is_err(), expect, "in a DENY");
}

const NONE_MATCHED: &str = "none of the ALLOW policies that select the destination matched";

#[test]
fn permits_when_no_policy_selects_the_destination() {
    check(&Authz::default(), &from("shop/cart"), "no ALLOW");
    check(&Authz::default(), &from(""), "no ALLOW");
}

#[test]
fn an_allow_lets_pass_what_it_matches_and_nothing_else() {
    let authz = allow(namespace("shop"));
    check(&authz, &from("shop/cart"), "by shop/p rule 0");
    check(&authz, &from("bank/teller"), NONE_MATCHED);
    check(&authz, &from(""), NONE_MATCHED);
}

#[test]
fn an_allow_without_rules_allows_nobody_and_a_deny_without_rules_denies_nobody() {
    check(&authz(vec![policy("p", Action::Allow, vec![])]), &from("shop/cart"), NONE_MATCHED);
    check(&authz(vec![policy("p", Action::Deny, vec![])]), &from("shop/cart"), "no ALLOW");
}

#[test]
fn a_rule_without_clauses_and_a_clause_without_matches_hold() {
    for every in [Rule::default(), rule(vec![])] {
        let authz = |action| authz(vec![policy("p", action, vec![every.clone()])]);
        check(&authz(Action::Allow), &from(""), "by shop/p rule 0");
        check(&authz(Action::Deny), &from("shop/cart"), "denied by shop/p rule 0");
    }
}

#[test]
fn a_match_without_conditions_closes_in_both_actions() {
    let rules = vec![rule(vec![Match::default()])];
    check(&authz(vec![policy("p", Action::Allow, rules.clone())]), &from("a/b"), NONE_MATCHED);
    check(&authz(vec![policy("p", Action::Deny, rules)]), &from("a/b"), "denied by shop/p rule 0");
}

#[test]
fn a_deny_beats_an_allow_and_names_its_rule() {
    let authz = authz(vec![
        policy("a-allow", Action::Allow, vec![Rule::default()]),
        policy(
            "z-deny",
            Action::Deny,
            vec![rule(vec![namespace("x")]), rule(vec![namespace("shop")])],
        ),
    ]);
    check(&authz, &from("shop/cart"), "denied by shop/z-deny rule 1");
    check(&authz, &from("bank/teller"), "by shop/a-allow rule 0");
}

#[test]
fn all_clauses_of_a_rule_and_any_match_of_a_clause() {
    let port = Match { destination_ports: is(vec![80]), ..Match::default() };
    let rule = Rule {
        clauses: [
            Clause { matches: [namespace("a"), namespace("b")].into() },
            Clause { matches: [port].into() },
        ]
        .into(),
    };
    let authz = authz(vec![policy("p", Action::Allow, vec![rule])]);
    check(&authz, &from("a/x"), "by shop/p rule 0");
    check(&authz, &from("b/x"), "by shop/p rule 0");
    check(&authz, &from("c/x"), NONE_MATCHED);
    check(&authz, &Asks { port: 81, ..from("a/x") }, NONE_MATCHED);
}

#[test]
fn principals_are_compared_without_their_scheme() {
    let one = |s| Match { principals: is(vec![s]), ..Match::default() };
    holds(&one(exact("td/ns/shop/sa/cart")), &from("shop/cart"), true);
    holds(&one(exact("spiffe://td/ns/shop/sa/cart")), &from("shop/cart"), false);
    holds(&one(StringMatch::Prefix("td/ns/shop/".into())), &from("shop/cart"), true);
    holds(&one(StringMatch::Suffix("/sa/cart".into())), &from("shop/other"), false);
    holds(&one(StringMatch::Presence), &from(""), false);
}

#[test]
fn plain_text_is_denied_by_asking_for_no_principal() {
    let strict = Match { principals: is_not(vec![StringMatch::Presence]), ..Match::default() };
    holds(&strict, &from(""), true);
    holds(&strict, &from("shop/cart"), false);
}

#[test]
fn a_service_account_is_of_its_namespace() {
    let account = Account { namespace: "shop".into(), service_account: "cart".into() };
    let one = Match { service_accounts: is(vec![account.clone()]), ..Match::default() };
    holds(&one, &from("shop/cart"), true);
    holds(&one, &from("bank/cart"), false);
    holds(&one, &from(""), false);
    let not = Match { service_accounts: is_not(vec![account]), ..Match::default() };
    holds(&not, &from("shop/cart"), false);
    holds(&not, &from(""), true);
}

#[test]
fn addresses_and_ports_are_the_applications() {
    let nets = |net: &str| vec![net.parse::<ipnet::IpNet>().unwrap()];
    let source = Match { source_ips: is(nets("10.0.0.0/31")), ..Match::default() };
    holds(&source, &from(""), true);
    holds(&source, &Asks { source: [10, 0, 0, 2].into(), ..from("") }, false);
    let mapped = Asks { source: "::ffff:10.0.0.1".parse().unwrap(), ..from("") };
    holds(&source, &mapped, true);
    let destination = Match { destination_ips: is_not(nets("10.0.0.2/32")), ..Match::default() };
    holds(&destination, &from(""), false);
    let port = Match { destination_ports: is_not(vec![15008]), ..Match::default() };
    holds(&port, &from(""), true);
}

#[test]
fn all_kinds_of_a_match_must_hold_and_an_exception_beats_its_list() {
    let both = Match { destination_ports: is(vec![80]), ..namespace("shop") };
    holds(&both, &from("shop/cart"), true);
    holds(&both, &from("bank/teller"), false);
    let mut except = namespace("shop");
    except.namespaces.is_not = [exact("shop")].into_iter().collect();
    holds(&except, &from("shop/cart"), false);
}

#[test]
fn an_unknown_policy_closes_but_does_not_hide_a_deny() {
    let named = [ObjectName::new("shop", "gone")];
    let deny = policy("d", Action::Deny, vec![rule(vec![namespace("bank")])]);
    let open = policy("a", Action::Allow, vec![Rule::default()]);
    let authz = Policies::new([Arc::new(deny), Arc::new(open)]).join(&"shop".into(), &named);
    check(&authz, &from("bank/teller"), "denied by shop/d rule 0");
    check(&authz, &from("shop/cart"), "the destination names policy shop/gone, which is not known");
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_it_would() {
    let dry = |action, rules| Authorization { dry_run: true, ..policy("dry", action, rules) };
    let mine = vec![rule(vec![namespace("shop")])];
    let would = |policies, who: &str| {
        let decision = decide(&authz(policies), &from(who).facts());
        (text(&decision.verdict), decision.dry_run.map(|would| text(&would)).unwrap())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let deny = || vec![dry(Action::Deny, mine.clone())];
    assert_eq!(would(deny(), "shop/cart"), pair("no ALLOW", "denied by shop/dry rule 0"));
    assert_eq!(would(deny(), "bank/x"), pair("no ALLOW", "no ALLOW"));
    let allow = || vec![dry(Action::Allow, mine.clone())];
    assert_eq!(would(allow(), "bank/x"), pair("no ALLOW", NONE_MATCHED));
    let wider = vec![policy("p", Action::Allow, vec![]), dry(Action::Allow, mine.clone())];
    assert_eq!(would(wider, "shop/cart"), pair(NONE_MATCHED, "by shop/dry rule 0"));
    let still = vec![policy("p", Action::Deny, mine.clone()), dry(Action::Allow, mine)];
    let denied = "denied by shop/p rule 0";
    assert_eq!(would(still, "shop/cart"), pair(denied, denied));
}

proptest! {
    #[test]
    fn one_more_deny_never_lets_through_what_was_refused(
        policies in any_policies(), more in any_rules(), asks in any_asks(),
    ) {
        let before = authz(policies.clone());
        let after = authz([policies, vec![policy("more", Action::Deny, more)]].concat());
        let permits = |authz: &Authz| decide(authz, &asks.facts()).verdict.is_ok();
        prop_assert!(permits(&before) || !permits(&after));
    }

    #[test]
    fn one_more_allow_beside_others_never_refuses_what_passed(
        policies in any_policies(), more in any_rules(), asks in any_asks(),
    ) {
        let before = authz(policies.clone());
        prop_assume!(!before.allow.is_empty());
        let after = authz([policies, vec![policy("more", Action::Allow, more)]].concat());
        let permits = |authz: &Authz| decide(authz, &asks.facts()).verdict.is_ok();
        prop_assert!(!permits(&before) || permits(&after));
    }

    #[test]
    fn dry_run_policies_never_change_the_verdict(policies in any_policies(), asks in any_asks()) {
        let enforced: Vec<_> = policies.iter().filter(|p| !p.dry_run).cloned().collect();
        let with = decide(&authz(policies), &asks.facts());
        prop_assert_eq!(with.verdict, decide(&authz(enforced), &asks.facts()).verdict);
    }

    #[test]
    fn a_dry_run_foretells_what_enforcing_brings(policies in any_policies(), asks in any_asks()) {
        let foretold = decide(&authz(policies.clone()), &asks.facts());
        let enforced = policies.into_iter().map(|p| Authorization { dry_run: false, ..p }).collect();
        let came = decide(&authz(enforced), &asks.facts()).verdict;
        let foretold = foretold.dry_run.unwrap_or(foretold.verdict);
        prop_assert_eq!(foretold.is_ok(), came.is_ok());
    }
}
