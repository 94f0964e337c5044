#include "tools/chaos/backend.hpp"

#include <array>

#include "tools/chaos/compose_backend.hpp"
#include "tools/chaos/local_backend.hpp"
#include "tools/chaos/netns_backend.hpp"
#include "tools/chaos/relay_backend.hpp"

namespace shoal::chaos {

std::string_view to_string(NodeState state) {
  constexpr std::array<std::string_view, 3> kNames{"up", "paused", "down"};
  return kNames.at(static_cast<std::size_t>(state));
}

std::string Backend::marks_file(const std::filesystem::path& run_folder) const {
  return (run_folder / "marks").string();
}

std::string Backend::mark_program(const std::filesystem::path&) const {
  return (this_program().parent_path() / "shoal-chaos-mark").string();
}

Result<Plan> Backend::played(const Injection&) {
  return fail(ErrorCode::refused, "nodes of this back end are not started for tests");
}

Result<Plan> plan_of(Backend& backend, const Injection& injection) {
  switch (rule_of(injection.fault.kind).family) {
    case Family::process:
      return backend.process(injection);
    case Family::disk:
      return backend.disk(injection);
    case Family::load:
      return backend.load(injection);
    case Family::members:
      return backend.members(injection);
    case Family::network:
      return backend.network(injection);
    case Family::played:
      return backend.played(injection);
  }
  return fail(ErrorCode::internal, "a fault of no family");
}

Result<std::unique_ptr<Backend>> open_backend(const BackendOptions& options) {
  const std::string kind = options.against.substr(0, options.against.find(':'));
  if (kind == "local") return LocalBackend::open(options);
  if (kind == "compose") return ComposeBackend::open(options);
  if (kind == "netns") return NetnsBackend::open(options);
  if (kind == "relay") return RelayBackend::open(options);
  const std::vector<std::string> known{"local", "compose", "netns", "relay"};
  return fail(ErrorCode::bad_input,
              text("there is no back end '", kind, "'.", suggestion(kind, known)));
}

}  // namespace shoal::chaos
