#include "random_message.hpp"

#include <array>
#include <chrono>
#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "fields.hpp"

namespace shoal::wire {
namespace {

constexpr std::uint64_t values_of(TaskKind) { return 3; }
constexpr std::uint64_t values_of(JobState) { return 3; }
constexpr std::uint64_t values_of(TaskState) { return 7; }
constexpr std::uint64_t values_of(EndReason) { return 8; }
constexpr std::uint64_t values_of(MemberState) { return 4; }
constexpr std::uint64_t values_of(task::Stream) { return 2; }
constexpr std::uint64_t values_of(Ownership) { return 3; }
constexpr std::uint64_t values_of(ShardId) { return 65'536; }

class Randomizer {
 public:
  explicit Randomizer(Random& random) : random_(random) {}

  void fill(bool& value) { value = random_.chance(1, 2); }
  void fill(ErrorCode& value) { value = static_cast<ErrorCode>(1 + random_.below(10)); }
  template <std::integral T>
  void fill(T& value) {
    value = static_cast<T>(random_.chance(1, 3) ? random_.below(4) : random_.next());
  }
  template <class T>
    requires std::is_enum_v<T>
  void fill(T& value) {
    value = static_cast<T>(random_.below(values_of(T{})));
  }
  void fill(std::chrono::milliseconds& value) {
    value = std::chrono::milliseconds(random_.below(1ULL << 42));
  }
  void fill(std::chrono::microseconds& value) {
    value = std::chrono::microseconds(random_.below(1ULL << 50));
  }
  void fill(WallTime& value) { value = WallTime(std::chrono::milliseconds(random_.next() >> 12)); }
  void fill(TimePoint& value) { value = TimePoint(Duration(random_.next() >> 1)); }
  void fill(std::string& value) {
    value.resize(random_.below(20));
    for (char& c : value) c = static_cast<char>(random_.below(256));
  }
  template <class T>
  void fill(std::vector<T>& values) {
    values.resize(random_.below(4));
    for (T& value : values) fill(value);
  }
  template <class T>
  void fill(std::optional<T>& value) {
    if (random_.chance(1, 2)) fill(value.emplace());
  }
  template <class T, std::size_t n>
  void fill(std::array<T, n>& values) {
    for (T& value : values) fill(value);
  }
  template <class... Ts>
  void fill(std::variant<Ts...>& value) {
    fill_alternative(value, random_.below(sizeof...(Ts)));
  }
  template <Fields T>
  void fill(T& value) {
    std::apply([this](auto&... field) { (this->fill(field), ...); }, fields(value));
    if constexpr (std::same_as<T, TaskEvent>) {
      if (!value.has_tails) value.tails = {};
    } else if constexpr (std::same_as<T, Grant>) {
      if (value.specs.empty()) value.items.clear();
      for (GrantItem& item : value.items) item.spec %= value.specs.size();
    }
  }

  template <class... Ts>
  void fill_alternative(std::variant<Ts...>& value, std::size_t index) {
    std::size_t i = 0;
    ((i++ == index ? fill(value.template emplace<Ts>()) : void()), ...);
  }

 private:
  Random& random_;
};

// Plain comparison of everything, field by field.
template <class T>
bool equal(const T& a, const T& b);

template <class T>
bool equal_items(const T& a, const T& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i])) return false;
  }
  return true;
}
template <class T>
bool equal_value(const std::vector<T>& a, const std::vector<T>& b) {
  return equal_items(a, b);
}
template <class T, std::size_t n>
bool equal_value(const std::array<T, n>& a, const std::array<T, n>& b) {
  return equal_items(a, b);
}
template <class T>
bool equal_value(const std::optional<T>& a, const std::optional<T>& b) {
  return a.has_value() == b.has_value() && (!a || equal(*a, *b));
}
template <class... Ts>
bool equal_value(const std::variant<Ts...>& a, const std::variant<Ts...>& b) {
  return a.index() == b.index() &&
         std::visit([&b]<class T>(const T& value) { return equal(value, std::get<T>(b)); }, a);
}
template <class T>
bool equal_value(const T& a, const T& b) {
  return a == b;
}

template <class T>
bool equal(const T& a, const T& b) {
  if constexpr (Fields<T>) {
    const auto left = fields(a);
    const auto right = fields(b);
    return [&]<std::size_t... i>(std::index_sequence<i...>) {
      return (equal(std::get<i>(left), std::get<i>(right)) && ...);
    }(std::make_index_sequence<std::tuple_size_v<std::remove_const_t<decltype(left)>>>());
  } else {
    return equal_value(a, b);
  }
}

template <class T>
T made(Random& random) {
  T value;
  Randomizer(random).fill(value);
  return value;
}

}  // namespace

Message random_message(Random& random, std::size_t kind) {
  Message message;
  Randomizer(random).fill_alternative(message, kind);
  return message;
}
ClientMessage random_client_message(Random& random) { return made<ClientMessage>(random); }
Hello random_hello(Random& random) { return made<Hello>(random); }
void fill(Random& random, ShardState& value) { value = made<ShardState>(random); }
void fill(Random& random, task::TaskRecord& value) { value = made<task::TaskRecord>(random); }
void fill(Random& random, task::JobRecord& value) { value = made<task::JobRecord>(random); }
void fill(Random& random, task::SpecRecord& value) { value = made<task::SpecRecord>(random); }

bool same(const std::vector<Message>& a, const std::vector<Message>& b) { return equal(a, b); }
bool same(const std::vector<ClientMessage>& a, const std::vector<ClientMessage>& b) {
  return equal(a, b);
}
bool same(const Hello& a, const Hello& b) { return equal(a, b); }
bool same(const ShardState& a, const ShardState& b) { return equal(a, b); }
bool same(const task::TaskRecord& a, const task::TaskRecord& b) { return equal(a, b); }
bool same(const task::JobRecord& a, const task::JobRecord& b) { return equal(a, b); }
bool same(const task::SpecRecord& a, const task::SpecRecord& b) { return equal(a, b); }

}  // namespace shoal::wire
