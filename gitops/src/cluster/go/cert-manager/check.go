package main

import (
	"context"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util/cmapichecker"
)

// runCheck waits until the API server accepts a Certificate in a dry run, and so reaches the webhook.
func runCheck(ctx context.Context, args []string) error {
	flags := pflag.NewFlagSet("check", pflag.ContinueOnError)
	timeout := flags.Duration("wait", 0, "how long to wait")
	flags.CountP("verbose", "v", "log more")
	if err := flags.Parse(args); err != nil {
		return err
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{})
	config, err := loader.ClientConfig()
	if err != nil {
		return err
	}
	// In a pod, the namespace of its service account.
	namespace, _, err := loader.Namespace()
	if err != nil {
		return err
	}
	checker, err := cmapichecker.New(config, namespace)
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 5*time.Second, *timeout+time.Second, true,
		func(ctx context.Context) (bool, error) {
			if last = checker.Check(ctx); last != nil {
				logs.FromContext(ctx).Info("not ready", "error", last.Error())
			}
			return last == nil, nil
		})
	if err != nil && last != nil {
		return last
	}
	return err
}
