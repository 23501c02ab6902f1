//! What a service account's token says of itself: believed only when the API server has said that
//! the token is good, and before that only when it speaks against whoever shows it.
use super::{Account, Refusal};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::Deserialize;

/// No token is longer.
const LONGEST: usize = 16 * 1024;

/// What every user name of a service account begins with.
const PREFIX: &str = "system:serviceaccount:";

/// What is read of a token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// Whom it is meant for.
    #[serde(default)]
    aud: Audience,
    /// Its end, in seconds since 1970; those of old have none.
    exp: Option<u64>,
    /// Whose it is.
    sub: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Claims {
    /// Reads the claims of a token, whoever made it; `None`: it is none of a service account.
    #[must_use]
    pub fn read(token: &str) -> Option<Self> {
        if LONGEST < token.len() {
            return None;
        }
        let mut parts = token.split('.');
        let (Some(_), Some(body), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        Self::parse(&BASE64.decode(body).ok()?)
    }

    /// The same of what is in the middle of a token, decoded.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let claims: Self = serde_json::from_slice(body).ok()?;
        claims.sub.starts_with(PREFIX).then_some(claims)
    }

    /// Whose it says that it is.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        Account::of_user(&self.sub)
    }

    /// When it ends, if it can be shown to anybody at all.
    ///
    /// # Errors
    ///
    /// When it says itself that it is not what is wanted: nobody need be asked.
    pub(super) fn check(&self, want: &Account, audience: &str, now: u64) -> Result<u64, Refusal> {
        let meant = match &self.aud {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Several(all) => all,
        };
        if !meant.iter().any(|one| one == audience) {
            return Err(Refusal::Audience { of: meant.join(", "), want: audience.to_owned() });
        }
        if Account::of_user(&self.sub).as_ref() != Some(want) {
            return Err(Refusal::Account { of: self.sub.clone(), want: want.clone() });
        }
        let exp = self.exp.ok_or(Refusal::Unbound)?;
        match now.saturating_sub(exp) {
            0 => Ok(exp),
            ago => Err(Refusal::Expired { ago }),
        }
    }
}

impl Account {
    /// The service account of a user name; `None`: it is somebody else's.
    pub(super) fn of_user(name: &str) -> Option<Self> {
        let (namespace, name) = name.strip_prefix(PREFIX)?.split_once(':')?;
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64.encode(claims))
    }

    fn node() -> Account {
        Account { namespace: "culvert-system".to_owned(), name: "culvert-node".to_owned() }
    }

    fn check(claims: &str) -> Result<u64, String> {
        let claims = Claims::read(&token(claims)).ok_or("none")?;
        claims.check(&node(), "culvert", 1000).map_err(|why| why.to_string())
    }

    const SUB: &str = r#""sub":"system:serviceaccount:culvert-system:culvert-node""#;

    #[test]
    fn a_token_that_speaks_against_its_bearer_is_shown_to_nobody() {
        assert_eq!(check(&format!(r#"{{"aud":["a","culvert"],"exp":1000,{SUB}}}"#)), Ok(1000));
        assert_eq!(check(&format!(r#"{{"aud":"culvert","exp":2000,{SUB}}}"#)), Ok(2000));
        for (claims, why) in [
            (format!(r#"{{"aud":["https://api"],"exp":2000,{SUB}}}"#), "meant for https://api"),
            (format!(r#"{{"exp":2000,{SUB}}}"#), "meant for nobody"),
            (format!(r#"{{"aud":"culvert",{SUB}}}"#), "bound to no pod"),
            (format!(r#"{{"aud":"culvert","exp":990,{SUB}}}"#), "expired 10 s ago"),
            (
                r#"{"aud":"culvert","exp":2000,"sub":"system:serviceaccount:shop:web"}"#.to_owned(),
                "system:serviceaccount:shop:web's, not culvert-system/culvert-node's",
            ),
            (r#"{"aud":"culvert","exp":2000,"sub":"joe"}"#.to_owned(), "none"),
            ("{}".to_owned(), "none"),
        ] {
            let said = check(&claims).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_shown_is_read_or_not(text: String, claims: String) {
            drop(Claims::read(&text));
            drop(Claims::read(&token(&claims)));
        }
    }
}
