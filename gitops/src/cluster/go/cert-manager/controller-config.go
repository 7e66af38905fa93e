package main

import (
	"context"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	cliflag "k8s.io/component-base/cli/flag"

	config "github.com/cert-manager/cert-manager/internal/apis/config/controller"
	"github.com/cert-manager/cert-manager/internal/apis/config/controller/scheme"
	defaults "github.com/cert-manager/cert-manager/internal/apis/config/controller/v1alpha1"
	"github.com/cert-manager/cert-manager/internal/apis/config/controller/validation"
	configv1alpha1 "github.com/cert-manager/cert-manager/pkg/apis/config/controller/v1alpha1"
	"github.com/cert-manager/cert-manager/pkg/controller"
	gateways "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/gateways"
	"github.com/cert-manager/cert-manager/pkg/controller/configfile"
	dnsutil "github.com/cert-manager/cert-manager/pkg/issuer/acme/dns/util"
	"github.com/cert-manager/cert-manager/pkg/logs"
)

// controllerConfig accepts the flags that the chart sets, and every setting in the file that --config names.
func controllerConfig(args []string) (*config.ControllerConfiguration, error) {
	converter, _, err := scheme.NewSchemeAndCodecs()
	if err != nil {
		return nil, err
	}
	versioned := &configv1alpha1.ControllerConfiguration{}
	converter.Default(versioned)
	options := &config.ControllerConfiguration{}
	if err := converter.Convert(versioned, options, nil); err != nil {
		return nil, err
	}
	load := func(path string) error {
		file := configfile.New()
		err := loadFile(path, file)
		file.Config.DeepCopyInto(options)
		return err
	}
	if err := parse(args, controllerFlags(options), load); err != nil {
		return nil, err
	}
	if problems := validation.ValidateControllerConfiguration(options, nil); len(problems) > 0 {
		return nil, problems.ToAggregate()
	}
	return options, applyCommon(options.FeatureGates, &options.Logging)
}

func controllerFlags(options *config.ControllerConfiguration) *pflag.FlagSet {
	flags := pflag.NewFlagSet("controller", pflag.ContinueOnError)
	for name, value := range map[string]*string{
		"kubeconfig":                 &options.KubeConfig,
		"cluster-resource-namespace": &options.ClusterResourceNamespace,
		"leader-election-namespace":  &options.LeaderElectionConfig.Namespace,
		"acme-http01-solver-image":   &options.ACMEHTTP01Config.SolverImage,
		"default-issuer-name":        &options.IngressShimConfig.DefaultIssuerName,
		"default-issuer-kind":        &options.IngressShimConfig.DefaultIssuerKind,
		"default-issuer-group":       &options.IngressShimConfig.DefaultIssuerGroup,
	} {
		flags.StringVar(value, name, *value, "")
	}
	for name, value := range map[string]*bool{
		"enable-gateway-api":               &options.GatewayAPIConfig.Enabled,
		"enable-certificate-owner-ref":     &options.EnableCertificateOwnerRef,
		"dns01-recursive-nameservers-only": &options.ACMEDNS01Config.RecursiveNameserversOnly,
	} {
		flags.BoolVar(value, name, *value, "")
	}
	flags.IntVar(&options.MaxConcurrentChallenges, "max-concurrent-challenges", options.MaxConcurrentChallenges, "")
	flags.StringSliceVar(&options.Controllers, "controllers", options.Controllers, "")
	flags.Var(cliflag.NewMapStringBool(&options.FeatureGates), "feature-gates", "")
	logs.AddFlags(&options.Logging, flags)
	return flags
}

func enabledControllers(options *config.ControllerConfiguration) sets.Set[string] {
	enabled, disabled := sets.New[string](), sets.New[string]()
	for _, name := range options.Controllers {
		switch {
		case name == "*":
			enabled.Insert(defaults.DefaultEnabledControllers...)
		case strings.HasPrefix(name, "-"):
			disabled.Insert(name[1:])
		default:
			enabled.Insert(name)
		}
	}
	if len(enabled) == 0 {
		enabled.Insert(defaults.DefaultEnabledControllers...)
	}
	if options.GatewayAPIConfig.Enabled {
		enabled.Insert(gateways.ControllerName)
	}
	return enabled.Difference(disabled)
}

func contextFactory(ctx context.Context, options *config.ControllerConfiguration) (*controller.ContextFactory, error) {
	solver := options.ACMEHTTP01Config
	quantities := map[string]resource.Quantity{}
	for _, text := range []string{
		solver.SolverResourceRequestCPU, solver.SolverResourceRequestMemory,
		solver.SolverResourceLimitsCPU, solver.SolverResourceLimitsMemory,
	} {
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			return nil, err
		}
		quantities[text] = quantity
	}
	nameservers := options.ACMEDNS01Config.RecursiveNameservers
	if len(nameservers) == 0 {
		nameservers = dnsutil.RecursiveNameservers
	}
	return controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:         options.KubeConfig,
		KubernetesAPIQPS:   options.KubernetesAPIQPS,
		KubernetesAPIBurst: options.KubernetesAPIBurst,
		APIServerHost:      options.APIServerHost,
		Namespace:          options.Namespace,
		ACMEOptions: controller.ACMEOptions{
			HTTP01SolverImage:                 solver.SolverImage,
			HTTP01SolverResourceRequestCPU:    quantities[solver.SolverResourceRequestCPU],
			HTTP01SolverResourceRequestMemory: quantities[solver.SolverResourceRequestMemory],
			HTTP01SolverResourceLimitsCPU:     quantities[solver.SolverResourceLimitsCPU],
			HTTP01SolverResourceLimitsMemory:  quantities[solver.SolverResourceLimitsMemory],
			ACMEHTTP01SolverRunAsNonRoot:      solver.SolverRunAsNonRoot,
			HTTP01SolverNameservers:           solver.SolverNameservers,
			DNS01Nameservers:                  nameservers,
			DNS01CheckRetryPeriod:             options.ACMEDNS01Config.CheckRetryPeriod,
			DNS01CheckAuthoritative:           !options.ACMEDNS01Config.RecursiveNameserversOnly,
		},
		SchedulerOptions: controller.SchedulerOptions{MaxConcurrentChallenges: options.MaxConcurrentChallenges},
		IssuerOptions: controller.IssuerOptions{
			ClusterIssuerAmbientCredentials: options.ClusterIssuerAmbientCredentials,
			IssuerAmbientCredentials:        options.IssuerAmbientCredentials,
			ClusterResourceNamespace:        options.ClusterResourceNamespace,
		},
		IngressShimOptions: controller.IngressShimOptions{
			DefaultIssuerName:                 options.IngressShimConfig.DefaultIssuerName,
			DefaultIssuerKind:                 options.IngressShimConfig.DefaultIssuerKind,
			DefaultIssuerGroup:                options.IngressShimConfig.DefaultIssuerGroup,
			DefaultAutoCertificateAnnotations: options.IngressShimConfig.DefaultAutoCertificateAnnotations,
			ExtraCertificateAnnotations:       options.IngressShimConfig.ExtraCertificateAnnotations,
			GatewayAPIExtraProtocols:          sets.New(options.GatewayAPIConfig.ExtraProtocols...),
		},
		CertificateOptions: controller.CertificateOptions{
			EnableOwnerRef:                           options.EnableCertificateOwnerRef,
			CopiedAnnotationPrefixes:                 options.CopiedAnnotationPrefixes,
			CertificateRequestMinimumBackoffDuration: options.CertificateRequestMinimumBackoffDuration,
			CertificateRequestMaximumBackoffDuration: options.CertificateRequestMaximumBackoffDuration,
		},
		ConfigOptions: controller.ConfigOptions{EnableGatewayAPI: options.GatewayAPIConfig.Enabled},
	})
}
