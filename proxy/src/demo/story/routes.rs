//! What becomes of requests: refused, routed, shared out, mirrored, delayed, tried again.
use crate::demo::{
    books::{ABORT, Ask, DELAY, MIRROR, ONE_USER, PATIENCE, READERS, SHARES, Step},
    error::StageError,
    peer::{
        book::{Page, Part},
        client::Browsed,
    },
    report::Report,
    stage::Stage,
};
use culvert_lab::PodNs;
use std::collections::BTreeMap;

/// For whom there are exceptions.
const USER: &str = "ada";

const OPINIONS: Ask<'_> = Ask::once("opinions:80", "/alone");
const STARS: Ask<'_> = Ask::once("stars:80", "/alone");

/// Requests that are shared out.
const MANY: u64 = 1000;

/// What requests have to be mirrored.
const MIRRORED: u64 = 20;

type Seen = Result<Result<String, String>, StageError>;

/// Tells all of it; `others` is how many pods of the first application there are.
pub(super) fn routed(
    stage: &mut Stage,
    report: &mut Report,
    others: usize,
) -> Result<(), StageError> {
    stage.open_books(others)?;
    let seen = read_only(stage)?;
    report.check("HTTP: a policy for methods and identities", "three requests", seen);
    let seen = one_user(stage)?;
    report.check("HTTP: one user sees another version", "the page, by its parts", seen);
    let seen = shares(stage)?;
    report.check("HTTP: 90 % to one version, 10 % to another", "1000 requests", seen);
    let seen = mirrored(stage)?;
    report.check("HTTP: requests are mirrored to the newest version", "what it heard", seen);
    let seen = aborted(stage)?;
    report.check("HTTP: one user is answered with 500", "the page, by its parts", seen);
    let seen = delayed(stage)?;
    report.check("HTTP: one user waits 7 seconds", "the client's clock", seen);
    let seen = tried_again(stage)?;
    report.check("HTTP: what goes wrong is tried again", "two of three tries fail", seen);
    let seen = given_up(stage)?;
    report.check("HTTP: what takes too long is given up", "a server that never answers", seen);
    Ok(())
}

fn read_only(stage: &mut Stage) -> Seen {
    let read = Ask::once("facts:80", "/alone");
    let write = Ask { method: "POST", ..read };
    take(stage, READERS, &write, |seen| all(seen, 403))?;
    let (front, reader) = (&stage.books.front, &stage.books.reader);
    let asked = [(front, &read, 200), (front, &write, 403), (reader, &read, 403)];
    let mut said = Vec::new();
    let mut is_right = true;
    for (from, ask, expect) in asked {
        let seen = stage.browse(from, ask)?;
        is_right &= all(&seen, expect);
        said.push(format!("{} by {}: {}", ask.method, from.name(), told_of(&seen)));
    }
    Ok(if is_right { Ok(said.join(", ")) } else { Err(said.join(", ")) })
}

fn one_user(stage: &mut Stage) -> Seen {
    take(stage, ONE_USER, &OPINIONS.by(USER), |seen| names(seen) == ["opinions-v3"])?;
    let page = |stage: &Stage, user| {
        let ask = Ask::once("front:80", "/").by(user);
        Ok::<_, StageError>(stage.browse(&stage.books.reader, &ask)?.last)
    };
    let (hers, anybodys) = (page(stage, USER)?, page(stage, "anybody")?);
    let [hers, anybodys] = [hers, anybodys].map(|page| page.map_or("no page".to_owned(), told));
    let is_right = hers == "facts, opinions-v3 (stars)" && anybodys == "facts, opinions-v1";
    let said = format!("{USER} sees {hers}; others see {anybodys}");
    Ok(if is_right { Ok(said) } else { Err(said) })
}

fn shares(stage: &mut Stage) -> Seen {
    take(stage, SHARES, &OPINIONS.by(USER).times(3), |seen| !names(seen).contains(&"opinions-v3"))?;
    let count = |stage: &Stage| {
        let seen = stage.browse(&stage.books.front, &OPINIONS.times(MANY))?;
        let of = |name: &str| seen.names.get(name).copied().unwrap_or(0);
        Ok::<_, StageError>((of("opinions-v1"), of("opinions-v2")))
    };
    let (mut first, mut second) = count(stage)?;
    if !is_tenth(first, second) {
        // One in 370 is further away by chance.
        (first, second) = count(stage)?;
    }
    let said = format!("{first} and {second} of {MANY}");
    Ok(if is_tenth(first, second) { Ok(said) } else { Err(said) })
}

/// Within three standard deviations: 28 of a thousand.
const fn is_tenth(first: u64, second: u64) -> bool {
    first + second == MANY && second.abs_diff(MANY / 10) <= 28
}

fn mirrored(stage: &mut Stage) -> Seen {
    let newest = format!("{}:8080", stage.books.newest.ip4());
    let heard = |stage: &Stage| {
        let seen = stage.browse(&stage.books.reader, &Ask::once(&newest, "/heard"))?;
        let told = seen.last.map(|page| page.heard);
        told.ok_or_else(|| StageError::Unexpected("the newest version does not answer".to_owned()))
    };
    let first = heard(stage)?;
    take(stage, MIRROR, &OPINIONS, |seen| names(seen) == ["opinions-v1"])?;
    stage.eventually("a mirrored request", |stage| {
        stage.browse(&stage.books.front, &OPINIONS)?;
        Ok(heard(stage)? > first)
    })?;
    let before = heard(stage)?;
    let seen = stage.browse(&stage.books.front, &OPINIONS.times(MIRRORED))?;
    if names(&seen) != ["opinions-v1"] {
        return Ok(Err(told_of(&seen)));
    }
    // Nobody waits for what it answers.
    let arrived =
        stage.eventually("all mirrored requests", |stage| Ok(heard(stage)? >= before + MIRRORED));
    if let Err(StageError::Interrupted) = arrived {
        return Err(StageError::Interrupted);
    }
    let also = heard(stage)? - before;
    let said = format!("{MIRRORED} answered by opinions-v1, {also} heard by opinions-v3");
    Ok(if also >= MIRRORED { Ok(said) } else { Err(said) })
}

fn aborted(stage: &mut Stage) -> Seen {
    take(stage, ABORT, &STARS.by(USER), |seen| all(seen, 500))?;
    stage.take(ONE_USER)?;
    let mut said = String::new();
    stage.eventually("a page without stars", |stage| {
        let ask = Ask::once("front:80", "/").by(USER);
        let page = stage.browse(&stage.books.reader, &ask)?.last;
        said = page.map_or_else(String::new, told);
        Ok(said == "facts, opinions-v3 (stars: 500)")
    })?;
    let others = stage.browse(&stage.books.front, &STARS.times(3))?;
    let said = format!("{USER} sees {said}; others: {}", told_of(&others));
    Ok(if all(&others, 200) { Ok(said) } else { Err(said) })
}

fn delayed(stage: &mut Stage) -> Seen {
    stage.take(DELAY)?;
    let mut hers = Browsed::default();
    stage.eventually("a request that waits", |stage| {
        hers = stage.browse(&stage.books.front, &STARS.by(USER))?;
        Ok(hers.longest_ms >= 7000)
    })?;
    let others = stage.browse(&stage.books.front, &STARS)?;
    let said = format!("{USER} {} ms, others {} ms", hers.longest_ms, others.longest_ms);
    let is_right = all(&hers, 200) && all(&others, 200) && others.longest_ms < 7000;
    Ok(if is_right { Ok(said) } else { Err(said) })
}

fn tried_again(stage: &mut Stage) -> Seen {
    let ask = Ask::once("facts:80", "/sometimes").times(3);
    take(stage, PATIENCE, &ask, |seen| all(seen, 200))?;
    let seen = stage.browse(&stage.books.front, &ask.times(9))?;
    Ok(if all(&seen, 200) { Ok(told_of(&seen)) } else { Err(told_of(&seen)) })
}

fn given_up(stage: &Stage) -> Seen {
    let seen = stage.browse(&stage.books.front, &Ask::once("facts:80", "/never"))?;
    let said = format!("{} after {} ms", told_of(&seen), seen.longest_ms);
    Ok(if all(&seen, 504) { Ok(said) } else { Err(said) })
}

/// Has a manifest take effect, and waits until requests of the front show that it has.
fn take(
    stage: &mut Stage,
    step: Step,
    ask: &Ask<'_>,
    is: impl Fn(&Browsed) -> bool,
) -> Result<(), StageError> {
    stage.take(step)?;
    let front: PodNs = stage.books.front.clone();
    stage.eventually("a manifest to take effect", |stage| Ok(is(&stage.browse(&front, ask)?)))
}

fn names(seen: &Browsed) -> Vec<&str> {
    seen.names.keys().map(String::as_str).collect()
}

/// Whether every request was answered with this status.
pub(super) fn all(seen: &Browsed, status: u16) -> bool {
    seen.failed.is_none() && seen.statuses.keys().eq([&status])
}

pub(super) fn told_of(seen: &Browsed) -> String {
    let counts = |counts: &BTreeMap<u16, u64>| {
        let all = counts.iter().map(|(status, count)| match count {
            1 => status.to_string(),
            _ => format!("{count} times {status}"),
        });
        all.collect::<Vec<_>>().join(" and ")
    };
    seen.failed.clone().unwrap_or_else(|| counts(&seen.statuses))
}

/// A page by its parts.
pub(super) fn told(page: Page) -> String {
    let part = |Part { of, status, page }: Part| {
        let of = of.trim_end_matches(":80").to_owned();
        match (status, page) {
            (200, Some(page)) if page.parts.is_empty() => page.name,
            (200, Some(page)) => format!("{} ({})", page.name.clone(), told(page)),
            (0, _) => format!("{of}: no answer"),
            (status, _) => format!("{of}: {status}"),
        }
    };
    page.parts.into_iter().map(part).collect::<Vec<_>>().join(", ")
}
