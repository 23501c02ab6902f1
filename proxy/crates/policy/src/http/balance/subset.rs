//! Subsets: only endpoints with the metadata that a request asks for.
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use culvert_model::http::{
    balance::{Balance, Fallback, LocalityMode, Selector, SelectorFallback, Subsets},
    value::{Fields, Value},
};

use super::{Balancer, Choice, Member, Recipe, Setting};

/// The key of a list of what may be asked for instead, in order.
const FALLBACK_LIST: &str = "fallback_list";

/// A cluster's endpoints, by subset.
#[derive(Debug)]
pub struct Subsetted {
    whole: Balancer,
    config: Option<Config>,
}

#[derive(Debug)]
struct Config {
    fallback: Fallback,
    default: Balancer,
    panic_mode_any: bool,
    metadata_fallback: bool,
    by_keys: Box<[ByKeys]>,
}

/// The subsets of one selector.
#[derive(Debug)]
struct ByKeys {
    selector: Selector,
    /// By the values of its keys, as JSON.
    subsets: HashMap<Vec<String>, Balancer>,
}

impl Subsetted {
    /// Makes one; without a configuration of subsets there is only the whole.
    #[must_use]
    pub fn new(balance: &Balance, members: &[Member], setting: Setting<'_>) -> Self {
        let whole = Balancer::new(balance, members, setting);
        let config = balance.subsets.as_deref().map(|subsets| {
            let flat = Balance { locality: LocalityMode::Flat, ..balance.clone() };
            let balance = if subsets.locality_weights.is_some() { balance } else { &flat };
            Config::new(subsets, &Recipe { balance, members, setting })
        });
        Self { whole, config }
    }

    /// The endpoint for a request that asks for `wanted` (what its route's metadata has below
    /// `envoy.lb`).
    pub fn choose(&self, wanted: Option<&Fields>, choice: &mut Choice<'_>) -> Option<usize> {
        self.ask(wanted, &mut |balancer| balancer.choose(choice))
    }

    /// The places of the endpoints that such a request may go to, ascending.
    #[must_use]
    pub fn reach(&self, wanted: Option<&Fields>) -> Vec<usize> {
        let mut reach = |balancer: &Balancer| Some(balancer.reach()).filter(|all| !all.is_empty());
        self.ask(wanted, &mut reach).unwrap_or_default()
    }

    /// Asks the balancers that are for `wanted`, until one has something.
    fn ask<T>(
        &self,
        wanted: Option<&Fields>,
        of: &mut dyn FnMut(&Balancer) -> Option<T>,
    ) -> Option<T> {
        let Some(config) = &self.config else { return of(&self.whole) };
        let list = wanted.and_then(|wanted| Some((wanted, wanted.get(FALLBACK_LIST)?)));
        if config.metadata_fallback
            && let Some((wanted, Value::List(instead))) = list
        {
            let mut asked = instead.iter().map(|instead| overridden(wanted, instead));
            return asked.find_map(|wanted| self.ask(Some(&wanted), of));
        }
        if let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) {
            if let Some(subset) = config.subset(wanted) {
                return of(subset);
            }
            match config.fallback_of(wanted) {
                SelectorFallback::Inherited => {}
                SelectorFallback::None => return None,
                SelectorFallback::AnyEndpoint => return of(&self.whole),
                SelectorFallback::DefaultSubset => return of(&config.default),
                SelectorFallback::Keys(keys) => {
                    let fewer: Fields = wanted
                        .iter()
                        .filter(|(key, _)| keys.contains(key))
                        .map(|(key, value)| (Arc::clone(key), value.clone()))
                        .collect();
                    return self.ask(Some(&fewer), of);
                }
            }
        }
        match config.fallback {
            Fallback::None => None,
            Fallback::AnyEndpoint => of(&self.whole),
            Fallback::DefaultSubset => {
                let found = of(&config.default);
                if found.is_none() && config.panic_mode_any {
                    return of(&self.whole);
                }
                found
            }
        }
    }

    /// All endpoints.
    #[must_use]
    pub fn whole(&self) -> &Balancer {
        &self.whole
    }
}

impl Config {
    fn new(subsets: &Subsets, recipe: &Recipe<'_>) -> Self {
        let default: Vec<usize> = recipe
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| has_all(member, &subsets.default, subsets.list_as_any))
            .map(|(at, _)| at)
            .collect();
        let by_keys = subsets.selectors.iter().map(|selector| {
            let grouped = grouped(recipe.members, selector, subsets.list_as_any);
            let subsets = grouped.into_iter();
            let subsets = subsets.map(|(values, which)| (values, Balancer::of(recipe, &which)));
            ByKeys { selector: selector.clone(), subsets: subsets.collect() }
        });
        Self {
            fallback: subsets.fallback,
            default: Balancer::of(recipe, &default),
            panic_mode_any: subsets.panic_mode_any,
            metadata_fallback: subsets.metadata_fallback,
            by_keys: by_keys.collect(),
        }
    }

    /// The subset of exactly these keys with these values.
    fn subset(&self, wanted: &Fields) -> Option<&Balancer> {
        let values: Vec<String> = wanted.values().map(Value::to_string).collect();
        self.of_keys(wanted)?.subsets.get(&values)
    }

    fn fallback_of(&self, wanted: &Fields) -> &SelectorFallback {
        self.of_keys(wanted).map_or(&SelectorFallback::Inherited, |found| &found.selector.fallback)
    }

    fn of_keys(&self, wanted: &Fields) -> Option<&ByKeys> {
        self.by_keys.iter().find(|one| one.selector.keys.iter().eq(wanted.keys()))
    }
}

/// What a request asks for in one step of its list: its own values, but for those that the step
/// has.
fn overridden(wanted: &Fields, step: &Value) -> Fields {
    let mut fields = wanted.clone();
    fields.remove(FALLBACK_LIST);
    if let Value::Struct(step) = step {
        fields.extend(step.iter().map(|(key, value)| (Arc::clone(key), value.clone())));
    }
    fields
}

/// The members of each subset of a selector, by the values of its keys.
fn grouped(
    members: &[Member],
    selector: &Selector,
    list_as_any: bool,
) -> BTreeMap<Vec<String>, Vec<usize>> {
    let mut grouped: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        for values in values(member, selector, list_as_any) {
            let group = grouped.entry(values).or_default();
            if group.is_empty() || !selector.single_host {
                group.push(at);
            }
        }
    }
    grouped
}

fn metadata<'a>(member: &'a Member, key: &str) -> Option<&'a Value> {
    member.metadata.find("envoy.lb", [key])
}

fn has_all(member: &Member, wanted: &[(Arc<str>, Value)], list_as_any: bool) -> bool {
    wanted.iter().all(|(key, value)| match metadata(member, key) {
        Some(Value::List(values)) if list_as_any => values.contains(value),
        found => found == Some(value),
    })
}

/// The values that an endpoint has of a selector's keys: one row, or one for each choice among
/// lists; none if a key is missing.
fn values(member: &Member, selector: &Selector, list_as_any: bool) -> Vec<Vec<String>> {
    let mut rows = vec![Vec::new()];
    for key in &selector.keys {
        let Some(value) = metadata(member, key) else { return Vec::new() };
        let choices: Vec<String> = if let (Value::List(values), true) = (value, list_as_any) {
            values.iter().map(Value::to_string).collect()
        } else {
            vec![value.to_string()]
        };
        rows = rows
            .iter()
            .flat_map(|row: &Vec<String>| {
                let with =
                    |choice: &String| [row.as_slice(), std::slice::from_ref(choice)].concat();
                choices.iter().map(with).collect::<Vec<_>>()
            })
            .collect();
    }
    rows
}
