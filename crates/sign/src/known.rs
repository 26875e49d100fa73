//! Keys whose private half is published, so that anyone can sign with them.
//!
//! Recognised by the SHA-256 of the embedded public key, which is also their KEYHASH. Sources: the repositories of
//! MCUboot (whose `root-*.pem` Zephyr and its descendants sign with unless told otherwise) and Trusted Firmware-M,
//! as of 2026-06.

/// What a published key is known as, or `None` for any other key.
#[must_use]
pub fn published(key_hash: &[u8; 32]) -> Option<&'static str> {
    let hash = hex::encode(key_hash);
    PUBLISHED.iter().find(|(known, _)| *known == hash).map(|(_, name)| *name)
}

const PUBLISHED: [(&str, &str); 17] = [
    (
        "fc5701dc6135e1323847bdc40f04d2e5bee5833b23c29f93593d00018cfa9994",
        "MCUboot's root-rsa-2048.pem, the default of Zephyr and Trusted Firmware-M",
    ),
    (
        "e30466f6b8470c1f29070b17f1e2d3e94d445e3f608087fdc711e4382bb538b6",
        "MCUboot's root-ec-p256.pem, a default of Zephyr and Trusted Firmware-M",
    ),
    (
        "c1907fa4eac7fae3840a78902b6f0710b037e9968e5c6274a12a28790c7d4e3c",
        "MCUboot's root-ed25519.pem, a default of Zephyr",
    ),
    ("6754edab1e29affef4a05935adecbeb1a7b8b62397b31e39a61b5bfcaafd63af", "MCUboot's root-ed25519-2.pem"),
    ("b1d87d60173352b9a4808979790fc699fb4c4f83b49cf1970edd96ff4adc36a6", "MCUboot's root-ed25519-unknown.pem"),
    ("3c23fc4e1d332a0c86e6a8bf6ecf26046d702302e135bf53fc04a009a33a78c5", "MCUboot's enc-ec256-priv.pem"),
    ("5ac4d62dc5efbed57e705f61b5f2df8e2b73ec5a573c1582144e38131f4c62d7", "MCUboot's enc-rsa2048-priv.pem"),
    ("e6c097daf1458d0f8b8d43fc4b4b9d4425203484b3afe5570ed074073901bab0", "MCUboot's bad-ec-p256.pem, a test key"),
    ("e32a93d4ef8c5f4d503642e2cc7c5eece7693e3246c7766dbb4b54d79441db2a", "MCUboot's bad-rsa-2048.pem, a test key"),
    ("bb868a727f0ef75e890a6a52bccd1d936fb34438afd6f237e8af259865742446", "MCUboot's cypress-test-ec-p256.pem"),
    ("6dc968724fdedb71be7c8ad62540ea148996f96adb5c48e9cc3112c588f26d89", "MCUboot's key_ec256.pem, a test key"),
    ("1c35c9ccb929906e7792eda384825b41be700c50760493eaf163135933e191aa", "MCUboot's key_ec256_2.pem, a test key"),
    ("263e1b46f29ad5add6fc438abbf6bf227da6d6ff8736a7d654301c19f7fc8c46", "MCUboot's key_rsa.pem, a test key"),
    ("6347a153696d6c91eaa335290a6115063be9066f665e17a6b7a1da4c5e24e5a7", "MCUboot's key_rsa_2.pem, a test key"),
    ("e18015993d6d2760b499274baef264b83af229e9a785f3d5bf00b9d32c1f0396", "Trusted Firmware-M's root-RSA-2048_1.pem"),
    ("82a5b443594853d4bf0fdd89a914a5dc16f867548207d7077e74d80c063efda9", "Trusted Firmware-M's root-EC-P256_1.pem"),
    ("3dfc6223395902412e16c0bda059f3ddb0f732f05380d9a4e276f15c8a2c70ad", "Trusted Firmware-M's TFM_S_KEY_PRIV.pem"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_a_hash_of_its_own_and_is_found() {
        let mut hashes: Vec<_> = PUBLISHED.iter().map(|(hash, _)| *hash).collect();
        for (hash, name) in PUBLISHED {
            let bytes = hex::decode(hash).unwrap().try_into().unwrap();
            assert_eq!(published(&bytes), Some(name));
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), PUBLISHED.len());
        assert_eq!(published(&[0; 32]), None);
    }

    #[test]
    fn the_keys_themselves_have_these_hashes() {
        for (der, name) in [
            (
                "3059301306072a8648ce3d020106082a8648ce3d030107034200042acb403ce8feed5ba44995a1a91daee8dbbe1937cd\
              14fb2f245737e5953988d994b9d65aebd7cdd5308ad6fe48b24a6a810ee5f07d8b6834cc3a6afc538efac1",
                "MCUboot's root-ec-p256.pem",
            ),
            (
                "302a300506032b6570032100d4b31ba49a3add3f825d10ca7f31b50b0de87f37ccc49f1a403a5c1320ffb4e0",
                "MCUboot's root-ed25519.pem",
            ),
            (
                "3082010a0282010100d106081a18442c18e8fbfdf70da34f1fbbee5ef9aad24b18d35ae96d188019f9f09c341bcbf3bc\
              74db42e78c7f10537e435e0d572c44d167080f0dbb5ceeecb399dfe04d840baa774160ed152849a701b43c10e6698c2f\
              5fac414d9e5c14dff2f8cf3d1e6fe75bbab4a9c8887e473c94c37767544baa8d3835ca62617eb7e115db7773d4be7b72\
              21896924fbf8656e643ec80ed785d55c4ae4530d2fffb7fdf31339833fa3aed20fa76a9df9feb8cefa2abeafb8e0fa82\
              3754f43ee12bd0d3085818f65e4cc8888131ad5fb08217f28a692723f3ab873e931a1dfee8f81a246659f81cabdcce68\
              1b666435ecfa0d119daf5c3aa7d167c647efb14b2c62e1d1c90203010001",
                "MCUboot's root-rsa-2048.pem",
            ),
        ] {
            let der = hex::decode(der).unwrap();
            let known = published(&otaru_crypto::Sha256::of(&der)).unwrap();
            assert!(known.starts_with(name), "{known}");
        }
    }
}
