# The front door: each target here calls CMake or a script. The build itself is CMakeLists.txt with CMakePresets.json.
BUILD := build/release
LORAC := $(BUILD)/lorac
PREFIX ?= /usr/local
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
ifeq ($(shell uname),Darwin)
# Homebrew keeps OpenSSL out of pkg-config's way, beside the system's own TLS.
export PKG_CONFIG_PATH := $(shell brew --prefix)/opt/openssl/lib/pkgconfig:$(PKG_CONFIG_PATH)
endif

.PHONY: all test test-all demo bench install format clean help
.DEFAULT_GOAL := all

all: $(BUILD)/configured
	@cmake --build $(BUILD) -j $(JOBS)

# Configuring comes after the check for missing packages; a folder that is configured keeps its generator.
$(BUILD)/configured: CMakePresets.json
	@tools/bootstrap.sh
	@generator=; if [ ! -f $(BUILD)/CMakeCache.txt ] && command -v ninja >/dev/null; then generator="-G Ninja"; fi; \
	  cmake --preset release $$generator
	@touch $@

test: all
	@tools/test.sh $(BUILD)

test-all: test
	@model=$$(tools/get_model.sh) && tools/test_all.sh $(LORAC) "$$model"

demo: all
	@demo/demo.sh $(LORAC)

bench: all
	@model=$$(tools/get_model.sh) && $(LORAC) bench --model "$$model" $(BENCH)

install: all
	@cmake --install $(BUILD) --prefix "$(abspath $(PREFIX))"

format:
	@tools/check_format.sh --fix

clean:
	rm -rf build

help:
	@echo "make                    build $(LORAC), with what that needs installed first"
	@echo "make demo               fetch the default model, fine-tune it, show answers before and after"
	@echo "make test               every test; the last line counts them"
	@echo "make test-all           and the goldens derived again and the live judges (Python packages, long)"
	@echo "make bench              this machine's speeds on the default model; BENCH='--only train' and the like go to lorac bench"
	@echo "make install PREFIX=/usr/local"
	@echo "make format             clang-format on every source"
	@echo "make clean              remove build/"
