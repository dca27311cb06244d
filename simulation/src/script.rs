//! What applications do, line by line, and what happens around them.

use std::fmt;

/// What kind of key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, 2048 bits.
    Rsa,
    /// EC on P-256.
    Ec,
    /// AES, 256 bits.
    Aes,
    /// A generic secret for HMAC, 256 bits.
    Hmac,
    /// The same, whose owner may extract it.
    OpenHmac,
}

/// What a line does. Objects are named by their place among those of the needed kind that live then, counted round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// C_Login with the PIN.
    LogIn,
    /// C_Login with a wrong PIN.
    LogInWrongly,
    /// C_Logout.
    LogOut,
    /// C_GenerateKeyPair or C_GenerateKey of a token key.
    Make(KeyKind),
    /// `tandem stock fill`, in a process that is logged in.
    Stock,
    /// `tandem stock drop`, likewise: of secret keys none is left.
    Drop,
    /// C_CreateObject: a data object, private or not.
    Create {
        /// CKA_PRIVATE.
        private: bool,
    },
    /// C_CopyObject of a key, with another label.
    Copy(usize),
    /// C_SetAttributeValue of an object's label.
    Relabel(usize),
    /// C_SetAttributeValue: an extractable key is tightened.
    Tighten(usize),
    /// C_DestroyObject.
    Destroy(usize),
    /// C_SignInit and C_Sign by a private key.
    Sign(usize),
    /// C_SignInit by a secret key; [`Action::Feed`] and [`Action::End`] go on with it.
    BeginMac(usize),
    /// C_EncryptInit by an AES key; [`Action::Feed`] and [`Action::End`] go on with it.
    BeginEncrypt(usize),
    /// C_SignUpdate or C_EncryptUpdate, with so many bytes.
    Feed(usize),
    /// C_SignFinal or C_EncryptFinal.
    End,
    /// C_FindObjects: everything.
    Find,
    /// C_GetAttributeValue of an object's label.
    Read(usize),
    /// C_GenerateRandom.
    Random,
    /// The process is killed between two calls.
    Kill,
    /// A member is unplugged.
    Unplug(usize),
    /// A member is plugged in again.
    PlugIn(usize),
    /// A member is switched off and on.
    Reboot(usize),
    /// A member takes no further object.
    FillUp(usize),
    /// A member has room again.
    MakeRoom(usize),
    /// Somebody sets another PIN on a member.
    ChangePin(usize),
    /// Another token, an empty one, takes the place of a member's for good.
    Swap(usize),
    /// Time passes, in milliseconds.
    Pass(u64),
    /// An operator's `tandem member add`, with the recovery's shares.
    Add(usize),
    /// An operator's `tandem member replace`, with the recovery's shares.
    Replace(usize),
    /// An operator's `tandem member remove`.
    Remove(usize),
    /// An operator's `tandem member remove --wipe`.
    Wipe(usize),
    /// An operator's `tandem kek rotate`, with the shares in force.
    Rotate,
}

impl Action {
    /// True for an operator's command.
    pub const fn is_command(self) -> bool {
        self.commanded().is_some() || matches!(self, Self::Rotate)
    }

    /// The member that an operator's command is about; `None` for what is no command, or about none.
    pub const fn commanded(self) -> Option<usize> {
        match self {
            Self::Add(n) | Self::Replace(n) | Self::Remove(n) | Self::Wipe(n) => Some(n),
            _ => None,
        }
    }
}

/// A line of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, by which what goes wrong in it is named; zero where nothing may.
    pub number: u32,
    /// Which process acts.
    pub process: usize,
    /// What it does.
    pub action: Action,
}

impl Line {
    /// Lines of one process, numbered from `first`.
    pub fn of(first: u32, process: usize, actions: &[Action]) -> Vec<Self> {
        (first..)
            .zip(actions)
            .map(|(number, action)| Self { number, process, action: *action })
            .collect()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:3}  process {}  {:?}", self.number, self.process, self.action)
    }
}
