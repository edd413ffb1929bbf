package backend

import (
	"fmt"

	"github.com/portico-dev/portico/service"
)

// reaction is what the backend does when a plugin or module fails to start.
type reaction string

const (
	abort   reaction = "abort"
	proceed reaction = "continue"
)

// policy is backend.startup of the configuration: the reactions to failed starts. The keys are Backstage's.
type policy struct {
	Default struct {
		Plugin reaction `config:"onPluginBootFailure" schema:"enum=abort|continue"`
		Module reaction `config:"onPluginModuleBootFailure" schema:"enum=abort|continue"`
	} `config:"default"`
	Plugins map[string]struct {
		Plugin  reaction `config:"onPluginBootFailure" schema:"enum=abort|continue"`
		Modules map[string]struct {
			Module reaction `config:"onPluginModuleBootFailure" schema:"enum=abort|continue"`
		} `config:"modules"`
	} `config:"plugins"`
}

func readPolicy(cfg service.Config) (policy, error) {
	var p policy
	p.Default.Plugin, p.Default.Module = abort, abort
	if err := cfg.Decode("backend.startup", &p); err != nil {
		return p, fmt.Errorf("reading the start-up policy: %w", err)
	}
	return p, nil
}

// plugin is the reaction to a failure of the plugin.
func (p policy) plugin(id string) reaction {
	if r := p.Plugins[id].Plugin; r != "" {
		return r
	}
	return p.Default.Plugin
}

// module is the reaction to a failure of the module.
func (p policy) module(pluginID, id string) reaction {
	if r := p.Plugins[pluginID].Modules[id].Module; r != "" {
		return r
	}
	return p.Default.Module
}

// aborts tells whether the start of a backend fails with this plugin.
func (p policy) aborts(status service.Status) bool {
	for _, m := range status.Modules {
		if m.Err != nil && p.module(status.ID, m.ID) == abort {
			return true
		}
	}
	return status.Err != nil && p.plugin(status.ID) == abort
}
