//! The SMP service: one characteristic, written without response, answered by notifications (smp.md section 5, BLE).

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use trouble_host::prelude::{
    AttributeTable, Characteristic, CharacteristicProp, GAP_SERVICE_ATTRIBUTE_COUNT, Service, Uuid,
};

use crate::security::Access;

/// The SMP service, 8D53DC1D-1DB7-4CD3-868B-8A527460AA84.
pub const SERVICE: u128 = 0x8D53_DC1D_1DB7_4CD3_868B_8A52_7460_AA84;
/// The SMP characteristic, DA2E7828-FBCE-4E01-AE9E-261174997C48.
pub const CHARACTERISTIC: u128 = 0xDA2E_7828_FBCE_4E01_AE9E_2611_7499_7C48;

/// GAP and GATT services, and ours: service, characteristic declaration, value, CCCD.
pub(crate) const ATTRIBUTES: usize = GAP_SERVICE_ATTRIBUTE_COUNT + 4;

/// Our characteristic in the table.
pub(crate) type SmpCharacteristic = Characteristic<[u8; 1]>;

/// Adds the SMP service to a device's attribute table. The value is never kept: what is written goes to the reassembler.
pub(crate) fn add_service(
    table: &mut AttributeTable<'_, NoopRawMutex, ATTRIBUTES>,
    access: Access,
) -> SmpCharacteristic {
    let mut service = table.add_service(Service::new(Uuid::from(SERVICE)));
    service
        .add_characteristic_small::<[u8; 1], _, _>(
            Uuid::from(CHARACTERISTIC),
            [CharacteristicProp::WriteWithoutResponse, CharacteristicProp::Notify],
            [0],
        )
        .write_permission(access.permission())
        .cccd_permission(access.permission())
        .build()
}

/// Bytes a Write Command or Notification carries in a link of this ATT_MTU.
pub(crate) fn payload(att_mtu: u16) -> usize {
    usize::from(att_mtu.max(23).saturating_sub(3))
}
