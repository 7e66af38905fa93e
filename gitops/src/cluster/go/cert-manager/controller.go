package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	config "github.com/cert-manager/cert-manager/internal/apis/config/controller"
	"github.com/cert-manager/cert-manager/internal/pem"
	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/healthz"

	_ "github.com/cert-manager/cert-manager/pkg/controller/acmechallenges"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmeorders"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/ingresses"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/acme"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/vault"
)

func runController(ctx context.Context, args []string) error {
	options, err := controllerConfig(args)
	if err != nil {
		return err
	}
	limits := options.PEMSizeLimitsConfig
	pem.SetGlobalSizeLimits(pem.NewSizeLimitsFromConfig(
		limits.MaxCertificateSize, limits.MaxPrivateKeySize, limits.MaxChainLength, limits.MaxBundleSize))
	factory, err := contextFactory(ctx, options)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	health := healthz.NewServer(options.LeaderElectionConfig.HealthzTimeout)
	listener, err := net.Listen("tcp", options.HealthzListenAddress)
	if err != nil {
		return err
	}
	group.Go(func() error { return health.Start(ctx, listener) })
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	if err := serveMetrics(ctx, group, options, shared); err != nil {
		return err
	}
	group.Go(func() error { return lead(ctx, options, factory, shared, health) })
	return group.Wait()
}

func serveMetrics(
	ctx context.Context, group *errgroup.Group, options *config.ControllerConfiguration, shared *controller.Context,
) error {
	informers := shared.SharedInformerFactory
	shared.Metrics.SetupACMECollector(informers.Acme().V1().Challenges().Lister())
	shared.Metrics.SetupCertificateCollector(informers.Certmanager().V1().Certificates().Lister())
	shared.Metrics.SetupIssuerCollector(informers.Certmanager().V1().Issuers().Lister())
	shared.Metrics.SetupClusterIssuerCollector(informers.Certmanager().V1().ClusterIssuers().Lister())
	listener, err := net.Listen("tcp", options.MetricsListenAddress)
	if err != nil {
		return err
	}
	server := shared.Metrics.NewServer(listener)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return nil
}

// lead runs the controllers while this process holds the lease.
func lead(
	ctx context.Context, options *config.ControllerConfiguration, factory *controller.ContextFactory,
	shared *controller.Context, health *healthz.Server,
) error {
	election := options.LeaderElectionConfig
	if !election.Enabled {
		return runControllers(ctx, options, factory, shared)
	}
	elected, err := factory.Build("leader-election")
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, election.Namespace, "cert-manager-controller",
		elected.Client.CoreV1(), elected.Client.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: host, EventRecorder: elected.Recorder})
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   election.LeaseDuration,
		RenewDeadline:   election.RenewDeadline,
		RetryPeriod:     election.RetryPeriod,
		ReleaseOnCancel: true,
		WatchDog:        health.LeaderHealthzAdaptor,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				result <- runControllers(ctx, options, factory, shared)
				cancel()
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return err
	}
	elector.Run(ctx)
	select {
	case err := <-result:
		return err
	default:
		return errors.New("the lease was lost")
	}
}

func runControllers(
	ctx context.Context, options *config.ControllerConfiguration, factory *controller.ContextFactory,
	shared *controller.Context,
) error {
	group, ctx := errgroup.WithContext(ctx)
	enabled := enabledControllers(options)
	for name, create := range controller.Known() {
		if !enabled.Has(name) {
			continue
		}
		created, err := create(factory)
		if err != nil {
			return fmt.Errorf("controller %s: %w", name, err)
		}
		group.Go(func() error { return created.Run(options.NumberOfConcurrentWorkers, ctx) })
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	if options.GatewayAPIConfig.Enabled {
		shared.GWShared.Start(ctx.Done())
	}
	return group.Wait()
}
