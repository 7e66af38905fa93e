package main

import (
	"context"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	config "github.com/cert-manager/cert-manager/internal/apis/config/cainjector"
	"github.com/cert-manager/cert-manager/internal/apis/config/cainjector/scheme"
	configv1alpha1 "github.com/cert-manager/cert-manager/pkg/apis/config/cainjector/v1alpha1"
	"github.com/cert-manager/cert-manager/pkg/cainjector/configfile"
	cmscheme "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned/scheme"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	"github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util"
)

func runInjector(ctx context.Context, args []string) error {
	options, err := injectorConfig(args)
	if err != nil {
		return err
	}
	manager, err := injectorManager(options)
	if err != nil {
		return err
	}
	setup := cainjector.SetupOptions{
		Namespace:                    options.Namespace,
		IgnoreNamespaces:             options.IgnoreNamespaces,
		EnableCertificatesDataSource: options.EnableDataSourceConfig.Certificates,
		EnabledReconcilersFor: map[string]bool{
			cainjector.MutatingWebhookConfigurationName:   options.EnableInjectableConfig.MutatingWebhookConfigurations,
			cainjector.ValidatingWebhookConfigurationName: options.EnableInjectableConfig.ValidatingWebhookConfigurations,
			cainjector.APIServiceName:                     options.EnableInjectableConfig.APIServices,
			cainjector.CustomResourceDefinitionName:       options.EnableInjectableConfig.CustomResourceDefinitions,
		},
	}
	if err := cainjector.RegisterAllInjectors(ctx, manager, setup); err != nil {
		return err
	}
	return manager.Start(ctx)
}

func injectorConfig(args []string) (*config.CAInjectorConfiguration, error) {
	converter, _, err := scheme.NewSchemeAndCodecs()
	if err != nil {
		return nil, err
	}
	defaults := &configv1alpha1.CAInjectorConfiguration{}
	converter.Default(defaults)
	options := &config.CAInjectorConfiguration{}
	if err := converter.Convert(defaults, options, nil); err != nil {
		return nil, err
	}
	flags := pflag.NewFlagSet("cainjector", pflag.ContinueOnError)
	flags.StringVar(&options.LeaderElectionConfig.Namespace, "leader-election-namespace",
		options.LeaderElectionConfig.Namespace, "namespace of the lease")
	logs.AddFlags(&options.Logging, flags)
	load := func(path string) error {
		file := configfile.New()
		err := loadFile(path, file)
		file.Config.DeepCopyInto(options)
		return err
	}
	if err := parse(args, flags, load); err != nil {
		return nil, err
	}
	return options, applyCommon(options.FeatureGates, &options.Logging)
}

func injectorManager(options *config.CAInjectorConfiguration) (ctrl.Manager, error) {
	types := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientscheme.AddToScheme, cmscheme.AddToScheme, apiextensions.AddToScheme, apiregistration.AddToScheme,
	} {
		if err := add(types); err != nil {
			return nil, err
		}
	}
	kubeconfig, err := ctrl.GetConfig()
	if err != nil {
		return nil, err
	}
	election := options.LeaderElectionConfig
	return ctrl.NewManager(util.RestConfigWithUserAgent(kubeconfig, "cainjector"), ctrl.Options{
		Scheme: types,
		Cache:  cache.Options{ReaderFailOnMissingInformer: true},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		// The chart grants the rights to this lease only.
		LeaderElectionID:              "cert-manager-cainjector-leader-election",
		LeaderElection:                election.Enabled,
		LeaderElectionNamespace:       election.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &election.LeaseDuration,
		RenewDeadline:                 &election.RenewDeadline,
		RetryPeriod:                   &election.RetryPeriod,
		Metrics:                       metricsserver.Options{BindAddress: options.MetricsListenAddress},
	})
}
