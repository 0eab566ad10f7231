# Makefile - the front door. Meson does the building (meson.build).
#
#	make run	build, make a demo domain below ./demo, serve it
#	make test	everything that is tested, with a count at the end
#	make bench	beside Postfix and Dovecot, one table
#	make fuzz	every fuzz target, SECONDS each (default 60)
#	make lint	layering, clang-tidy, the manual pages
#	make install	to DESTDIR and prefix (default /usr/local)
#	make clean	build folders; ./demo stays

BUILD	= build
SECONDS	= 60
prefix	= /usr/local

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/install-packages build
	@meson setup $(BUILD) --prefix $(prefix) --buildtype release \
	    -Ddebug=true >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

run:
	@tools/install-packages build run
	@$(MAKE) --no-print-directory all
	@exec tools/demo $(BUILD)/src/postrider ./demo

test:
	@tools/install-packages build run test
	@tools/unpack-packages build-peers
	@/usr/bin/python3 tools/test

bench: all
	@tools/install-packages bench
	@exec bench/run --postrider $(BUILD)/src/postrider --write

fuzz:
	@tools/install-packages build test
	@exec tools/fuzz $(SECONDS)

lint:
	@tools/install-packages build test
	@exec tools/lint

install: all
	@meson introspect --buildoptions $(BUILD) | \
	    grep -q '"value": "$(prefix)"' || \
	    meson configure $(BUILD) -Dprefix=$(prefix)
	@meson install -C $(BUILD)

clean:
	rm -rf build build-*

.PHONY: all run test bench fuzz lint install clean
