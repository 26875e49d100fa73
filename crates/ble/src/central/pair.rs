//! Subscribing, and pairing if the device wants that first.

use embassy_futures::select::{Either, select};
use embassy_time::{Duration, with_timeout};
use trouble_host::prelude::{Characteristic, Connection, ConnectionEvent};
use trouble_host::{BleHostError, BondInformation, Error, PacketPool};

use super::session::{Client, Session};
use super::{Event, Failure, PasskeySource, Step};
use crate::address::Address;
use crate::bond::{Admission, BondRecord, BondStore};
use crate::link_layer::HciController;
use crate::security::{PairingError, Security};

/// What the connection's events say about a pairing.
pub(super) enum PairingNews {
    /// The device shows a passkey.
    PasskeyWanted,
    /// It is done.
    Complete(Security, Option<BondInformation>),
    /// It failed.
    Failed(PairingError),
}

impl PairingNews {
    pub(super) fn of(event: ConnectionEvent) -> Option<Self> {
        match event {
            ConnectionEvent::PassKeyInput => Some(Self::PasskeyWanted),
            ConnectionEvent::PairingComplete { security_level, bond } => {
                Some(Self::Complete(Security::from_host(security_level), bond))
            }
            // The device claims to have out-of-band data of this client, which gives none.
            ConnectionEvent::OobRequest => Some(Self::Failed(PairingError::Failed { reason: 0x02 })),
            ConnectionEvent::PairingFailed(error) => Some(Self::Failed(PairingError::from_host(&error))),
            _ => None,
        }
    }
}

/// Insufficient Authentication: pair.
const NOT_AUTHENTICATED: u8 = 0x05;
/// Insufficient Encryption: encrypt with the bond, or pair.
const NOT_ENCRYPTED: u8 = 0x0f;

/// Pairing failed: Authentication Requirements, the device has no way to show or take a passkey.
const CANNOT: u8 = 0x03;
/// Pairing failed: Pairing Not Supported.
const WILL_NOT: u8 = 0x05;

impl<B, K, E, const FRAME: usize> Session<'_, B, K, E, FRAME>
where
    B: BondStore,
    K: PasskeySource,
    E: Fn(Event),
{
    /// Asks for notifications. If the link is not good enough for that, or not for this client, pairs and asks again.
    pub(super) async fn subscribe<C, P>(
        &self,
        client: &Client<'_, C, P>,
        connection: &Connection<'_, P>,
        characteristic: &Characteristic<[u8]>,
        peer: Address,
    ) -> Result<(), Failure<C::Error>>
    where
        C: HciController,
        P: PacketPool,
    {
        let (security, required) = (Self::security(connection), self.wanted(peer));
        match self.ask(client, characteristic).await? {
            None if security >= required => return Ok(()),
            None => match self.pair(connection, peer).await {
                Err(Failure::Pairing { error: PairingError::Failed { reason: CANNOT | WILL_NOT }, .. }) => {
                    return Err(Failure::TooWeak { peer, security, required });
                }
                paired => paired?,
            },
            Some(NOT_AUTHENTICATED | NOT_ENCRYPTED) => self.pair(connection, peer).await?,
            Some(code) => return Err(Failure::Refused { step: Step::Subscribing, code }),
        }
        match self.ask(client, characteristic).await? {
            None => Ok(()),
            Some(NOT_AUTHENTICATED | NOT_ENCRYPTED) if Self::security(connection) < Security::Authenticated => {
                let security = Self::security(connection);
                Err(Failure::TooWeak { peer, security, required: Security::Authenticated })
            }
            Some(code) => Err(Failure::Refused { step: Step::Subscribing, code }),
        }
    }

    /// Writes the CCCD; the ATT error the device refuses it with, if it does.
    async fn ask<C, P>(
        &self,
        client: &Client<'_, C, P>,
        characteristic: &Characteristic<[u8]>,
    ) -> Result<Option<u8>, Failure<C::Error>>
    where
        C: HciController,
        P: PacketPool,
    {
        self.step.set(Step::Subscribing);
        let notify = 1_u16.to_le_bytes();
        let cccd = characteristic.cccd_handle.unwrap_or_default();
        let asked = async {
            match client.write_handle(cccd, &notify).await {
                Ok(()) => Ok(None),
                Err(BleHostError::BleHost(Error::Att(code))) => Ok(Some(code.to_u8())),
                Err(error) => Err(error),
            }
        };
        let refused = self.within(SUBSCRIBING, asked).await?;
        if let Some(code) = refused {
            (self.events)(Event::AccessRefused { code });
        }
        Ok(refused)
    }

    async fn pair<F, P: PacketPool>(&self, connection: &Connection<'_, P>, peer: Address) -> Result<(), Failure<F>> {
        self.step.set(Step::Pairing);
        // What encryption with a bond left there.
        self.news.clear();
        (self.events)(Event::Pairing { peer });
        let failed = |error| Err(Failure::Pairing { peer, error });
        if connection.request_security().is_err() {
            return failed(PairingError::Stack);
        }
        loop {
            let news = match with_timeout(PATIENCE, self.news.receive()).await {
                Ok(PairingNews::PasskeyWanted) => self.enter_passkey(connection, peer).await?,
                Ok(news) => Some(news),
                Err(_) => return failed(PairingError::TimedOut),
            };
            match news {
                Some(PairingNews::Complete(security, bond)) => return self.paired(peer, security, bond).await,
                Some(PairingNews::Failed(error)) => return failed(error),
                Some(PairingNews::PasskeyWanted) | None => {}
            }
        }
    }

    /// Asks for the passkey and enters it. Gives back what else came up meanwhile.
    async fn enter_passkey<F, P: PacketPool>(
        &self,
        connection: &Connection<'_, P>,
        peer: Address,
    ) -> Result<Option<PairingNews>, Failure<F>> {
        (self.events)(Event::PasskeyWanted { peer });
        let mut passkeys = self.passkeys.lock().await;
        let asked = with_timeout(PATIENCE, passkeys.passkey(&peer));
        match select(asked, self.news.receive()).await {
            Either::First(Ok(Some(passkey))) => {
                // Fails only if pairing ended meanwhile, of which there is news.
                let _ = connection.pass_key_input(passkey.value());
                Ok(None)
            }
            Either::First(Ok(None)) => Err(Failure::NoPasskey { peer }),
            Either::First(Err(_)) => Err(Failure::Pairing { peer, error: PairingError::TimedOut }),
            Either::Second(news) => Ok(Some(news)),
        }
    }

    async fn paired<F>(
        &self,
        peer: Address,
        security: Security,
        bond: Option<BondInformation>,
    ) -> Result<(), Failure<F>> {
        let required = self.wanted(peer);
        if security < required {
            return Err(Failure::TooWeak { peer, security, required });
        }
        let bonded = match bond.map(|bond| BondRecord::from_host(&bond)) {
            Some(record) => self.remember(record).await,
            None => false,
        };
        (self.events)(Event::Paired { security, bonded });
        Ok(())
    }

    /// Keeps a bond; `true` if it will be there next time.
    async fn remember(&self, record: BondRecord) -> bool {
        let admission = self.bonds.borrow_mut().admit(record);
        let stored = match admission {
            Admission::KnownBetter => return false,
            Admission::Kept { instead_of: Some(old) } => {
                self.store.remove(&old.peer).await.and(self.store.save(&record).await)
            }
            Admission::Kept { instead_of: None } => self.store.save(&record).await,
        };
        if stored.is_err() {
            (self.events)(Event::BondStoreFailed);
        }
        self.has_bond_again();
        stored.is_ok()
    }
}

/// How long the device may take to answer the subscription.
const SUBSCRIBING: Duration = Duration::from_secs(10);
/// How long one side may keep the other waiting while pairing, and a person for the passkey. The protocol gives up after
/// 30 s (Core, Vol 3 Part H 3.4), and the stack then says nothing.
const PATIENCE: Duration = Duration::from_secs(30);
