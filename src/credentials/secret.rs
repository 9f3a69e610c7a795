//! Values that are wiped from memory and never printed.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// A password or token. It has no way to a text but [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over a text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Returns the text, to be sent or stored and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Tells whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What proves to a registry who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that a token server takes for access tokens, as `docker login` gets them.
    Identity(Secret),
    /// A token that the registry itself takes.
    Access(Secret),
}

impl Credential {
    /// Returns the login of a name and a secret as users and helpers give them: without a name, or
    /// with the name `<token>`, the secret is an identity token.
    pub fn of(user: &str, secret: Secret) -> Self {
        match user {
            "" | TOKEN_USER => Self::Identity(secret),
            user => Self::Password {
                user: user.to_owned(),
                password: secret,
            },
        }
    }

    /// Returns the name, if there is one.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Password { user, .. } => Some(user),
            Self::Identity(_) | Self::Access(_) => None,
        }
    }

    fn secret(&self) -> &Secret {
        match self {
            Self::Password { password, .. } => password,
            Self::Identity(token) | Self::Access(token) => token,
        }
    }

    /// Takes the secret out of a text that a peer wrote, should it have sent it back.
    pub fn mask(&self, text: &str) -> String {
        let secret = self.secret().expose();
        if secret.is_empty() {
            return text.to_owned();
        }
        let mut masked = text.replace(secret, "[secret]");
        if let Self::Password { user, .. } = self {
            let both = Zeroizing::new(STANDARD.encode(format!("{user}:{secret}")));
            masked = masked.replace(both.trim_end_matches('='), "[secret]");
        }
        masked
    }
}

/// The name under which helpers keep identity tokens.
pub(super) const TOKEN_USER: &str = "<token>";
