// Hashing with a fixed result on every platform and in every version: XXH3, 64 bits, with a seed.
// Used for shard placement, checksums on disk and trace hashes; not a cryptographic hash.
#pragma once

#include <cstdint>
#include <string_view>

namespace shoal {

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);

}  // namespace shoal
