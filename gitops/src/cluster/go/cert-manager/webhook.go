package main

import (
	"context"

	"github.com/spf13/pflag"

	cmwebhook "github.com/cert-manager/cert-manager/internal/webhook"
	"github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/webhook/configfile"
	"github.com/cert-manager/cert-manager/pkg/webhook/options"
)

func runWebhook(ctx context.Context, args []string) error {
	config, err := options.NewWebhookConfiguration()
	if err != nil {
		return err
	}
	flags := pflag.NewFlagSet("webhook", pflag.ContinueOnError)
	options.AddConfigFlags(flags, config)
	load := func(path string) error {
		file := configfile.New()
		err := loadFile(path, file)
		file.Config.DeepCopyInto(config)
		return err
	}
	if err := parse(args, flags, load); err != nil {
		return err
	}
	if err := applyCommon(config.FeatureGates, &config.Logging); err != nil {
		return err
	}
	server, err := cmwebhook.NewCertManagerWebhookServer(logs.FromContext(ctx), *config)
	if err != nil {
		return err
	}
	return server.Run(ctx)
}
