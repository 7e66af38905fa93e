// The commands of cert-manager are Go modules of their own, which no module proxy serves. This program starts the same
// packages: `cert-manager controller|webhook|cainjector|check` stands for the four images of the chart.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	logsapi "k8s.io/component-base/logs/api/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/cert-manager/cert-manager/internal/cmd/util"
	"github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util/configfile"
	utilfeature "github.com/cert-manager/cert-manager/pkg/util/feature"
)

var commands = map[string]func(context.Context, []string) error{
	"controller": runController,
	"webhook":    runWebhook,
	"cainjector": runInjector,
	"check":      runCheck,
}

func main() {
	ctx, exit := util.SetupExitHandler(context.Background(), util.GracefulShutdown)
	defer exit()
	logs.InitLogs()
	defer logs.FlushLogs()
	ctrl.SetLogger(logs.Log)
	if err := start(ctx, os.Args[1:]); err != nil {
		logs.Log.Error(err, "cert-manager stopped")
		util.SetExitCode(err)
	}
}

func start(ctx context.Context, args []string) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return fmt.Errorf("name one of %s", strings.Join(slices.Sorted(maps.Keys(commands)), ", "))
	}
	return commands[args[0]](logs.NewContext(ctx, logs.Log, args[0]), args[1:])
}

// parse sets the values of the file that --config names, and then those of the flags, which take precedence.
func parse(args []string, flags *pflag.FlagSet, load func(path string) error) error {
	file := flags.String("config", "", "file with the configuration")
	if err := flags.Parse(args); err != nil || *file == "" {
		return err
	}
	if err := load(*file); err != nil {
		return err
	}
	return flags.Parse(args)
}

func loadFile(path string, into configfile.ConfigFile) error {
	loader, err := configfile.NewConfigurationFSLoader(nil, path)
	if err != nil {
		return err
	}
	return loader.Load(into)
}

func applyCommon(gates map[string]bool, logging *logsapi.LoggingConfiguration) error {
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(gates); err != nil {
		return err
	}
	return logs.ValidateAndApply(logging)
}
