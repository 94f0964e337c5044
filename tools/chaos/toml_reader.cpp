#include "tools/chaos/toml_reader.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace shoal::chaos {
namespace {

constexpr std::size_t kComplaintsMax = 20;

std::optional<std::string> words_of(const toml::node& node) {
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_integer()) return std::to_string(value->get());
  if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
  if (const auto* value = node.as_floating_point()) {
    std::ostringstream stream;
    stream << value->get();
    return stream.str();
  }
  return std::nullopt;
}

std::optional<std::size_t> index_of(const std::string& word) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), index);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return index;
}

// The table or list that `word` names inside `node`; tables that are missing are made.
toml::node* step_down(toml::node& node, const std::string& word) {
  if (auto* table = node.as_table()) {
    if (!table->contains(word)) table->insert(word, toml::table{});
    return table->get(word);
  }
  auto* list = node.as_array();
  const auto index = index_of(word);
  if (list == nullptr || !index || *index >= list->size()) return nullptr;
  return list->get(*index);
}

}  // namespace

void Complaints::add(const toml::source_region& where, std::string_view path,
                     const std::string& what) {
  std::string line = source_;
  if (where.begin.line > 0) line += text(":", where.begin.line, ":", where.begin.column);
  line += ": ";
  if (!path.empty()) line += text(path, ": ");
  if (lines_.size() < kComplaintsMax) lines_.push_back(line + what);
}

Error Complaints::error() const { return {ErrorCode::bad_input, joined(lines_, "\n")}; }

std::optional<std::string> TomlTable::words(std::string_view key) {
  know(key);
  const toml::node* node = table_.get(key);
  if (node == nullptr) return std::nullopt;
  auto words = words_of(*node);
  if (!words) complain(key, "this is to be one value");
  return words;
}

const toml::table* TomlTable::table(std::string_view key) {
  know(key);
  const toml::node* node = table_.get(key);
  if (node == nullptr) return nullptr;
  if (node->as_table() == nullptr) complain(key, text("this is to be a table: [", key, "]"));
  return node->as_table();
}

std::vector<const toml::table*> TomlTable::tables(std::string_view key) {
  know(key);
  const toml::node* node = table_.get(key);
  if (node == nullptr) return {};
  std::vector<const toml::table*> all;
  const auto* array = node->as_array();
  if (array == nullptr) {
    complain(key, text("this is to be a list of tables: [[", key, "]]"));
    return all;
  }
  for (const toml::node& each : *array) {
    if (each.as_table() == nullptr) {
      complain(key, "its elements are to be tables");
    } else {
      all.push_back(each.as_table());
    }
  }
  return all;
}

void TomlTable::take_count(std::string_view key, std::uint32_t& to, std::uint32_t least,
                           std::uint32_t most) {
  const auto given = words(key);
  if (!given) return;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), value);
  const bool whole = error == std::errc() && end == given->data() + given->size();
  if (whole && value >= least && value <= most) {
    to = value;
  } else {
    complain(key, text("'", *given, "' is not a whole number from ", least, " to ", most));
  }
}

void TomlTable::complain(std::string_view key, const std::string& what) {
  const toml::node* node = table_.get(key);
  const std::string path = path_.empty() ? std::string(key) : text(path_, ".", key);
  complaints_.add(node != nullptr ? node->source() : table_.source(), path, what);
}

void TomlTable::complain(const std::string& what) { complaints_.add(table_.source(), path_, what); }

void TomlTable::refuse_others() {
  for (const auto& [key, node] : table_) {
    const std::string name(key.str());
    if (std::ranges::find(known_, name) != known_.end()) continue;
    const toml::source_region& where = key.source().begin ? key.source() : node.source();
    complaints_.add(where, path_,
                    text("there is no key '", name, "' here.", suggestion(name, known_)));
  }
}

Result<void> set_value(toml::table& document, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  const std::vector<std::string> path = split(assignment.substr(0, equals), '.');
  const bool empty =
      std::ranges::any_of(path, [](const std::string& word) { return word.empty(); });
  if (equals == std::string::npos || empty) {
    return fail(ErrorCode::bad_input,
                text("--set ", assignment, ": write it as KEY=VALUE, such as load.tasks=1000"));
  }
  toml::node* at = &document;
  for (std::size_t i = 0; i + 1 < path.size() && at != nullptr; ++i) at = step_down(*at, path[i]);
  auto* table = at != nullptr ? at->as_table() : nullptr;
  if (table == nullptr) {
    return fail(ErrorCode::bad_input, text("--set ", assignment, ": there is no such place"));
  }
  const std::string value(trimmed(assignment.substr(equals + 1)));
  // What is not TOML by itself, such as 5s, is meant as a string.
  const toml::parse_result parsed = toml::parse("value = " + value);
  if (parsed && parsed.table().size() == 1) {
    parsed.table().get("value")->visit(
        [table, &path](const auto& node) { table->insert_or_assign(path.back(), node); });
  } else {
    table->insert_or_assign(path.back(), value);
  }
  return {};
}

}  // namespace shoal::chaos
