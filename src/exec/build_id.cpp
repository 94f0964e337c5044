#include "exec/build_id.hpp"

#include <link.h>

#include <cstdlib>
#include <cstring>
#include <span>

#include "base/format.hpp"
#include "shoal/version.hpp"

namespace shoal::exec {
namespace {

constexpr std::size_t aligned(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

// The hash among the notes of one segment: each is a header, a name and a description, padded to
// four bytes each.
std::string hash_in(std::span<const std::byte> notes) {
  ElfW(Nhdr) header{};
  while (notes.size() >= sizeof header) {
    std::memcpy(&header, notes.data(), sizeof header);
    notes = notes.subspan(sizeof header);
    const std::size_t name = aligned(header.n_namesz);
    const std::size_t size = name + aligned(header.n_descsz);
    if (size > notes.size()) break;
    const bool found = header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
                       std::memcmp(notes.data(), "GNU", 4) == 0;
    if (found) {
      std::string text;
      for (const std::byte each : notes.subspan(name, header.n_descsz)) {
        text += format("{:02x}", std::to_integer<unsigned>(each));
      }
      return text;
    }
    notes = notes.subspan(size);
  }
  return {};
}

// Called for each loaded object, the program itself first.
int look_into(dl_phdr_info* object, std::size_t, void* text) {
  for (const auto& header : std::span(object->dlpi_phdr, object->dlpi_phnum)) {
    if (header.p_type != PT_NOTE) continue;
    const auto* begin = reinterpret_cast<const std::byte*>(object->dlpi_addr + header.p_vaddr);
    const std::string found = hash_in({begin, header.p_memsz});
    if (!found.empty()) *static_cast<std::string*>(text) = found;
  }
  return 1;  // The libraries do not matter.
}

std::string find_build_id() {
  if (const char* replaced = std::getenv("SHOAL_TEST_BUILD")) return replaced;
  std::string text;
  dl_iterate_phdr(look_into, &text);
  return text.empty() ? std::string(kVersion) : text;
}

}  // namespace

const std::string& build_id() {
  static const std::string id = find_build_id();
  return id;
}

}  // namespace shoal::exec
