// JSON as the recordings hold it, and how to read a field without trusting that it is there.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace shoal::chaos {

using Json = nlohmann::ordered_json;

// The field's value, or `otherwise` when it is missing or of another kind.
template <class T>
T field(const Json& object, const char* name, T otherwise) {
  if (!object.is_object()) return otherwise;
  const auto found = object.find(name);
  if (found == object.end()) return otherwise;
  if constexpr (std::is_same_v<T, std::string>) {
    return found->is_string() ? found->get<std::string>() : std::move(otherwise);
  } else if constexpr (std::is_same_v<T, bool>) {
    return found->is_boolean() ? found->get<bool>() : otherwise;
  } else if constexpr (std::is_same_v<T, Json>) {
    return *found;
  } else {
    return found->is_number() ? found->get<T>() : otherwise;
  }
}

// Strings that are no UTF-8 are mended, not refused: they come from files and programs.
inline std::string dumped(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace shoal::chaos
