# Every target is in dev.py, which also works where make is missing: python3 dev.py TARGET
TARGETS := demo clean-demo run test coverage accept check bench bench-full bench-peers emails help
.PHONY: $(TARGETS)
.DEFAULT_GOAL := help

$(TARGETS):
	@python3 dev.py $@ $(ARGS)
